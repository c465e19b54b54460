// The balloon of a domain, its target and its limits.

#include <cstdint>
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/vm/usual_guest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

class DomainBalloonTest : public testing::Test {
 protected:
  ~DomainBalloonTest() override {
    ExpectClean(*host_, kDom0Pages + Memory().current.value());
  }
  DomainMemory Memory() const { return domain_->Info().memory; }
  absl::StatusOr<PageCount> Down(uint64_t pages, bool partial = false) {
    return domain_->balloon().Down({"balloon down"}, PageCount(pages), partial);
  }
  absl::StatusOr<PageCount> Up(uint64_t pages, bool partial = false) {
    return domain_->balloon().Up({"balloon up"}, PageCount(pages), partial);
  }

  std::unique_ptr<Host> host_ = MakeHost(10000);
  std::shared_ptr<Domain> domain_ =
      MustCreate(*host_, MakeSpec("a", kPages, kPages + kRoom));
};

TEST_F(DomainBalloonTest, HighestFreePagesGoFirstAndTheLastOutComesBackFirst) {
  ASSERT_THAT(Down(10), IsOk());
  EXPECT_TRUE(WordOf(*domain_, 2990).is_invalid());
  EXPECT_TRUE(WordOf(*domain_, 2989).is_ram());
  ASSERT_THAT(Up(3), IsOk());
  EXPECT_TRUE(WordOf(*domain_, 2996).is_invalid());
  EXPECT_TRUE(WordOf(*domain_, 2997).is_ram());
  EXPECT_EQ(Memory().target.value(), kPages - 7);
}

TEST_F(DomainBalloonTest, MoreThanTheGuestCanGiveIsRefusedOrGivenInPart) {
  const uint64_t available = Memory().available.value();
  EXPECT_EQ(available, kPages - 256 - Memory().p2m_pages.value());
  EXPECT_THAT(Down(available + 1),
              IsError(Code::kResourceExhausted, Reason::kGuestMemoryExhausted,
                      HasSubstr("3000 pages")));
  EXPECT_THAT(Down(~uint64_t{0}),
              IsError(Code::kResourceExhausted, Reason::kGuestMemoryExhausted,
                      testing::_));
  EXPECT_EQ(Memory().current.value(), kPages);
  EXPECT_EQ(Memory().balloon_state, BalloonState::kNone);
  EXPECT_EQ(Down(~uint64_t{0}, true)->value(), available);
  EXPECT_EQ(Memory().balloon_state, BalloonState::kAgain);
  EXPECT_EQ(Down(5, true)->value(), 0);
}

TEST_F(DomainBalloonTest, UpPastTheLimitIsRefusedOrGoesToIt) {
  EXPECT_EQ(Memory().max.value(), kPages + 256);
  EXPECT_THAT(Up(257), IsError(Code::kResourceExhausted,
                               Reason::kMaxMemExceeded, HasSubstr("3256")));
  EXPECT_THAT(Up(~uint64_t{0}), IsError(Code::kResourceExhausted,
                                        Reason::kMaxMemExceeded, testing::_));
  EXPECT_EQ(Up(257, true)->value(), 256);
  EXPECT_EQ(Up(1, true)->value(), 0);
  EXPECT_EQ(Memory().current.value(), kPages + 256);
}

TEST_F(DomainBalloonTest, TargetAboveTheMaximumIsAdvisedToWhatHelps) {
  const auto set = [&](uint64_t pages) {
    return domain_->balloon().SetTarget({"set memory target"},
                                        PageCount(pages));
  };
  ASSERT_THAT(domain_->balloon().SetMaximum({"set maximum memory"},
                                            PageCount(kPages + 10)),
              IsOk());
  EXPECT_THAT(set(kPages + kRoom),
              IsError(Code::kInvalidArgument, Reason::kStaticMaxExceeded,
                      HasSubstr("(3010 pages); raise it with mem-max")));
  EXPECT_THAT(set(kPages + kRoom + 1),
              IsError(Code::kInvalidArgument, Reason::kStaticMaxExceeded,
                      HasSubstr("its guest has pfns for 15.6 MiB (4000 pages), "
                                "which mem-max does not change")));
}

TEST_F(DomainBalloonTest, UpNeedsPfnsInTheBalloon) {
  ASSERT_THAT(
      domain_->balloon().SetMaximum({"set maximum memory"}, PageCount(9000)),
      IsOk());
  EXPECT_THAT(Up(kRoom + 1),
              IsError(Code::kResourceExhausted, Reason::kPfnNotBalloonable,
                      HasSubstr("its balloon holds 3.9 MiB (1000 pages)")));
  EXPECT_EQ(Up(kRoom + 1, true)->value(), kRoom);
}

TEST_F(DomainBalloonTest, UpNeedsFramesInThePool) {
  const uint64_t free = host_->Info().free.value();
  const auto other = MustCreate(*host_, MakeSpec("b", free - 100));
  EXPECT_THAT(Up(101), IsError(Code::kResourceExhausted,
                               Reason::kHostMemoryExhausted, HasSubstr("100")));
  EXPECT_EQ(Up(101, true)->value(), 100);
  EXPECT_EQ(host_->Info().free.value(), 0);
  ASSERT_THAT(host_->DestroyDomain(other->id()), IsOk());
}

TEST_F(DomainBalloonTest, NoPagesIsNoMove) {
  EXPECT_THAT(Down(0), IsError(Code::kInvalidArgument, Reason::kRangeInvalid,
                               testing::_));
  EXPECT_THAT(Up(0, true), IsError(Code::kInvalidArgument,
                                   Reason::kRangeInvalid, testing::_));
}

TEST_F(DomainBalloonTest, PausedGuestDoesNotAnswer) {
  ASSERT_THAT(domain_->Pause({"pause"}), IsOk());
  EXPECT_THAT(Down(1),
              IsError(Code::kFailedPrecondition, Reason::kDomainNotRunning,
                      HasSubstr("unpause")));
  EXPECT_THAT(Up(1), IsError(Code::kFailedPrecondition,
                             Reason::kDomainNotRunning, testing::_));
}

TEST_F(DomainBalloonTest, TargetOfAPausedGuestIsReachedWhenItRuns) {
  ASSERT_THAT(domain_->Pause({"pause"}), IsOk());
  EXPECT_THAT(
      domain_->balloon().SetTarget({"set memory target"}, PageCount(2500)),
      IsOk());
  EXPECT_EQ(Memory().current.value(), kPages);
  EXPECT_EQ(Memory().max.value(), 2500 + 256);
  ASSERT_THAT(domain_->Unpause({"unpause"}), IsOk());
  EXPECT_EQ(Memory().current.value(), 2500);
  EXPECT_EQ(Memory().balloon_state, BalloonState::kDone);
}

TEST_F(DomainBalloonTest, TargetsOutsideTheBoundsAreRefused) {
  EXPECT_THAT(
      domain_->balloon().SetTarget({"set memory target"}, PageCount(0)),
      IsError(Code::kInvalidArgument, Reason::kMemorySizeInvalid, testing::_));
  for (const uint64_t pages : {kPages + kRoom + 1, ~uint64_t{0}}) {
    EXPECT_THAT(
        domain_->balloon().SetTarget({"set memory target"}, PageCount(pages)),
        IsError(Code::kInvalidArgument, Reason::kStaticMaxExceeded,
                HasSubstr("4000 pages")));
  }
  EXPECT_EQ(Memory().target.value(), kPages);
  EXPECT_EQ(Memory().max.value(), kPages + 256);
}

TEST_F(DomainBalloonTest, TargetBelowWhatTheGuestNeedsMovesWhatItCan) {
  const uint64_t available = Memory().available.value();
  EXPECT_THAT(domain_->balloon().SetTarget({"set memory target"}, PageCount(1)),
              IsOk());
  EXPECT_EQ(Memory().current.value(), kPages - available);
  EXPECT_EQ(Memory().target.value(), 1);
  EXPECT_EQ(Memory().balloon_state, BalloonState::kAgain);
}

TEST_F(DomainBalloonTest, LimitsAreHeldToTheirBounds) {
  EXPECT_THAT(domain_->balloon().SetMaximum({"set maximum memory"},
                                            PageCount(kPages - 1)),
              IsError(Code::kInvalidArgument, Reason::kMaxMemBelowTarget,
                      HasSubstr("3000")));
  EXPECT_THAT(
      domain_->balloon().SetMaximum({"set maximum memory"},
                                    PageCount(uint64_t{1} << 32)),
      IsError(Code::kInvalidArgument, Reason::kMemorySizeInvalid, testing::_));
  EXPECT_THAT(
      domain_->balloon().SetMaximum({"set maximum memory"}, PageCount(kPages)),
      IsOk());
  // static-max bounds the target, and libxl's 1 MiB does not lift it.
  EXPECT_THAT(Up(1), IsError(Code::kResourceExhausted, Reason::kMaxMemExceeded,
                             testing::_));
}

TEST_F(DomainBalloonTest, CreateTargetAndMaximumAgreeOnLibxlsMiB) {
  EXPECT_EQ(Memory().max.value(), kPages + 256);
  ASSERT_THAT(domain_->balloon().SetMaximum({"set maximum memory"},
                                            PageCount(kPages + 100)),
              IsOk());
  EXPECT_EQ(Memory().static_max.value(), kPages + 100);
  EXPECT_EQ(Memory().max.value(), kPages + 100 + 256);
  ASSERT_THAT(
      domain_->balloon().SetTarget({"set memory target"}, PageCount(kPages)),
      IsOk());
  EXPECT_EQ(Memory().max.value(), kPages + 256);
}

TEST(DomainBalloonDom0Test, KeepsWhatLibxlLeavesIt) {
  constexpr uint64_t kLeast = 128 * kPagesPerMiB;
  HostConfig config;
  config.e820 = E820Map::SingleRam(PageCount(60000));
  config.dom0_memory = PageCount(kLeast + 1000);
  const auto host = Host::Create(config);
  ASSERT_THAT(host, IsOk());
  const auto dom0 = *(*host)->Find(kDom0Id);
  const auto refused =
      IsError(Code::kInvalidArgument, Reason::kMemorySizeInvalid,
              HasSubstr("minimum threshold for dom0, 128 MiB (32768 pages)"));
  EXPECT_THAT(
      dom0->balloon().SetTarget({"set memory target"}, PageCount(kLeast - 1)),
      refused);
  EXPECT_THAT(dom0->balloon().Down({"balloon down"}, PageCount(1001), false),
              refused);
  EXPECT_EQ(dom0->Info().memory.current.value(), kLeast + 1000);
  EXPECT_EQ(dom0->Info().memory.target.value(), kLeast + 1000);
  EXPECT_THAT(
      dom0->balloon().SetTarget({"set memory target"}, PageCount(kLeast + 1)),
      IsOk());
  const auto moved =
      dom0->balloon().Down({"balloon down"}, PageCount(100), true);
  ASSERT_THAT(moved, IsOk());
  EXPECT_EQ(moved->value(), 1u);
  EXPECT_EQ(
      dom0->balloon().Down({"balloon down"}, PageCount(100), true)->value(),
      0u);
  EXPECT_EQ(dom0->Info().memory.current.value(), kLeast);
}

TEST_F(DomainBalloonTest, StoppedMoveKeepsWhatMovedAndTheTargetFollows) {
  const auto stop = [] { return absl::CancelledError("the client left"); };
  EXPECT_EQ(domain_->balloon()
                .Down({"balloon down", stop}, PageCount(100), false)
                .status()
                .code(),
            Code::kCancelled);
  EXPECT_EQ(Memory().current, Memory().target);
  EXPECT_EQ(domain_->balloon()
                .Up({"balloon up", stop}, PageCount(100), false)
                .status()
                .code(),
            Code::kCancelled);
  EXPECT_EQ(Memory().current, Memory().target);
  EXPECT_EQ(host_->Info().free.value(),
            10000 - 256 - kDom0Pages - Memory().current.value());
}

}  // namespace
}  // namespace simvisor
