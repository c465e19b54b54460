// Why a guest does not have its target: each cause by itself, and that a next
// try comes to the pages that were called reachable.

#include "domain/vm/balloon_shortfall.h"

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "domain/vm/domain.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/vm/usual_guest.h"
#include "tests/support/host_testing.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

using Cause = ShortfallCause;

class BalloonShortfallTest : public testing::Test {
 protected:
  void SetTarget(uint64_t pages) {
    ASSERT_THAT(domain_->balloon().SetTarget({"set memory target"},
                                             PageCount(pages), &memory_),
                IsOk());
  }
  // What a change tells, which must be what everybody sees afterwards.
  BalloonShortfall Shortfall() {
    memory_ = domain_->Memory();
    EXPECT_TRUE(memory_.shortfall.has_value());
    return memory_.shortfall.value_or(BalloonShortfall{});
  }
  void Expect(Cause cause, int64_t missing, uint64_t reachable,
              uint32_t retry_seconds, bool given_up) {
    const BalloonShortfall shortfall = Shortfall();
    EXPECT_EQ(shortfall.cause, cause);
    EXPECT_EQ(shortfall.missing, missing);
    EXPECT_EQ(shortfall.reachable.value(), reachable);
    EXPECT_EQ(shortfall.retry_seconds, retry_seconds);
    EXPECT_EQ(shortfall.given_up, given_up);
  }
  void FillHost(uint64_t left) {
    const uint64_t free = host_->Info().free.value();
    other_ = MustCreate(*host_, MakeSpec("other", free - left));
  }
  void Wake() {
    ASSERT_THAT(
        domain_->balloon().Wake({"balloon timer"}, domain_->balloon().timer()),
        IsOk());
  }

  std::unique_ptr<Host> host_ = MakeHost(10000);
  std::shared_ptr<Domain> domain_ =
      MustCreate(*host_, MakeSpec("a", kPages, kPages + kRoom));
  std::shared_ptr<Domain> other_;
  DomainMemory memory_;
};

TEST_F(BalloonShortfallTest, GuestWithItsTargetHasNone) {
  EXPECT_FALSE(domain_->Memory().shortfall.has_value());
  SetTarget(kPages - 100);
  EXPECT_FALSE(memory_.shortfall.has_value());
  EXPECT_FALSE(domain_->Memory().shortfall.has_value());
}

TEST_F(BalloonShortfallTest, PausedGuestMovesWhenItIsUnpaused) {
  ASSERT_THAT(domain_->Pause({"pause"}), IsOk());
  SetTarget(kPages + 200);
  Expect(Cause::kNotRunning, 200, kPages + 200, 0, false);
  ASSERT_THAT(domain_->Unpause({"unpause"}), IsOk());
  EXPECT_FALSE(domain_->Memory().shortfall.has_value());
}

TEST_F(BalloonShortfallTest, GuestThatHasNotBootedReachesWhatItHas) {
  domain_ = MustCreate(*host_, MakeSpec("b", 600, 1200), true);
  SetTarget(900);
  Expect(Cause::kNotRunning, 300, 600, 0, false);
}

TEST_F(BalloonShortfallTest, FullHostIsTriedAgainUntilThereAreFrames) {
  FillHost(300);
  SetTarget(kPages + kRoom);
  Expect(Cause::kHostFull, kRoom - 300, kPages + 300, 2, false);
  ASSERT_THAT(host_->DestroyDomain(other_->id()), IsOk());
  Expect(Cause::kRetrying, kRoom - 300, kPages + kRoom, 2, false);
  Wake();
  EXPECT_FALSE(domain_->Memory().shortfall.has_value());
}

TEST_F(BalloonShortfallTest, DriverThatFailedTooOftenHasGivenUpForAnHour) {
  FillHost(0);
  SetTarget(kPages + kRoom);
  for (int tries = 1; tries < 4; ++tries) Wake();
  Expect(Cause::kHostFull, kRoom, kPages, 3600, true);
}

TEST_F(BalloonShortfallTest, EmptyBalloonIsTriedAgainOnlyForAnotherTarget) {
  SetTarget(kPages + kRoom);
  ASSERT_THAT(domain_->balloon().SetMaximum({"set maximum"},
                                            PageCount(kPages + 2 * kRoom)),
              IsOk());
  SetTarget(kPages + kRoom + 50);
  Expect(Cause::kBalloonEmpty, 50, kPages + kRoom, 0, true);
}

TEST_F(BalloonShortfallTest, GuestWithoutFreePagesHasNoneToGive) {
  const uint64_t available = domain_->Memory().available.value();
  SetTarget(1);
  const int64_t missing = 1 - static_cast<int64_t>(kPages - available);
  Expect(Cause::kGuestMemory, missing, kPages - available, 2, false);
}

TEST_F(BalloonShortfallTest, GuestWithoutAPageForALeafReachesWhatItHas) {
  DomainSpec spec = MakeSpec("compact", 1500, 4500);
  spec.p2m.balloon_room = BalloonRoom::kCompact;
  domain_ = MustCreate(*host_, spec);
  const PageCount free = domain_->Memory().available;
  ASSERT_THAT(
      domain_->load()
          .Start({"start a load"}, {.pages_per_second = 1, .working_set = free})
          .status(),
      IsOk());
  SetTarget(2500);
  Expect(Cause::kGuestMemory, 1000, 1500, 2, false);
  Wake();
  EXPECT_EQ(domain_->Memory().current, PageCount(1500));
}

TEST_F(BalloonShortfallTest, HeldFramesCountForTheLimit) {
  FillHost(1000);
  SetTarget(kPages + kRoom);
  DomainMemory memory = domain_->Memory();
  BalloonDriverInfo driver = domain_->Info().balloon_driver.value();
  driver.state = BalloonState::kAgain;
  driver.goal = memory.target = memory.current + PageCount(10);
  memory.static_max = memory.target;
  memory.balloon = PageCount(10);
  const auto find = [&](uint64_t room, uint64_t held) {
    memory.max = memory.current + PageCount(room);
    DomainMemory with_held = memory;
    with_held.current += PageCount(held);
    with_held.foreign_held = PageCount(held);
    return FindShortfall(DomainState::kRunning, with_held, driver,
                         PageCount(100))
        .value();
  };
  EXPECT_EQ(find(10, 0).cause, Cause::kRetrying);
  EXPECT_EQ(find(10, 4).cause, Cause::kRetrying);
  EXPECT_EQ(find(10, 4).reachable, memory.current + PageCount(6));
  EXPECT_EQ(find(10, 10).cause, Cause::kMaxMem);
  EXPECT_EQ(find(10, 20).reachable, memory.current);
}

TEST_F(BalloonShortfallTest, ChangeTellsWhatIsSeenAfterIt) {
  FillHost(300);
  SetTarget(kPages + kRoom);
  ASSERT_TRUE(memory_.shortfall.has_value());
  const BalloonShortfall told = *memory_.shortfall;
  const BalloonShortfall seen = Shortfall();
  EXPECT_EQ(told.cause, seen.cause);
  EXPECT_EQ(told.missing, seen.missing);
  EXPECT_EQ(told.reachable, seen.reachable);
}

TEST_F(BalloonShortfallTest, DyingDomainHasNone) {
  ASSERT_THAT(domain_->Pause({"pause"}), IsOk());
  SetTarget(kPages + 200);
  ASSERT_THAT(host_->DestroyDomain(domain_->id()), IsOk());
  EXPECT_FALSE(domain_->Memory().shortfall.has_value());
}

// Several guests on a machine that is too small for their targets.  Whenever a
// driver tries again it comes to the pages that were reachable just before.
void CheckNextTries(uint64_t seed) {
  std::mt19937_64 random(seed);
  int tries = 0;
  for (int round = 0; round < 20; ++round) {
    const std::unique_ptr<Host> host = MakeHost(10000);
    std::vector<std::shared_ptr<Domain>> domains;
    for (const char* name : {"a", "b", "c"}) {
      domains.push_back(MustCreate(*host, MakeSpec(name, 1500, 4500)));
    }
    for (int step = 0; step < 100; ++step) {
      Domain& domain = *domains[random() % domains.size()];
      const PageCount target(1 + random() % 4500);
      ASSERT_THAT(domain.balloon().SetTarget({"set memory target"}, target),
                  IsOk());
      for (const auto& each : domains) {
        const DomainMemory before = each->Memory();
        if (!before.shortfall.has_value()) {
          EXPECT_EQ(before.current, before.target);
          continue;
        }
        if (before.shortfall->retry_seconds == 0) continue;
        ASSERT_THAT(
            each->balloon().Wake({"balloon timer"}, each->balloon().timer()),
            IsOk());
        ++tries;
        ASSERT_EQ(each->Memory().current, before.shortfall->reachable)
            << "step " << step << ", target " << before.target.value();
      }
    }
  }
  EXPECT_GT(tries, 100);
}

TEST(BalloonShortfallRandomTest, NextTryComesToTheReachablePages) {
  for (const uint64_t seed : TestSeeds(4)) {
    SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
    CheckNextTries(seed);
  }
}

}  // namespace
}  // namespace simvisor
