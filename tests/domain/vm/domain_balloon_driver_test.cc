// The balloon driver of a whole domain: its own figures, its zones, and what it
// does when its timer runs out.

#include <cstdint>
#include <memory>
#include <vector>

#include "domain/vm/domain.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/vm/usual_guest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;

class DomainBalloonDriverTest : public testing::Test {
 protected:
  static BalloonDriverInfo DriverOf(Domain& domain) {
    return domain.Info().balloon_driver.value();
  }
  BalloonDriverInfo Driver() const { return DriverOf(*domain_); }
  DomainMemory Memory() const { return domain_->Info().memory; }

  // Lets the timer run out; returns how long it was.
  std::optional<uint32_t> Wake() {
    const BalloonTimer timer = domain_->balloon().timer();
    EXPECT_THAT(domain_->balloon().Wake({"balloon timer"}, timer), IsOk());
    return timer.seconds;
  }
  // Has another domain take all but `left` of the free frames.
  void FillHost(uint64_t left) {
    const uint64_t free = host_->Info().free.value();
    other_ = MustCreate(*host_, MakeSpec("other", free - left));
  }
  absl::Status SetTarget(uint64_t pages) {
    return domain_->balloon().SetTarget({"set memory target"},
                                        PageCount(pages));
  }

  std::unique_ptr<Host> host_ = MakeHost(10000);
  std::shared_ptr<Domain> domain_ =
      MustCreate(*host_, MakeSpec("a", kPages, kPages + kRoom));
  std::shared_ptr<Domain> other_;
};

TEST_F(DomainBalloonDriverTest, StartsFromTheMemoryAtBootWithoutTheRoom) {
  const BalloonDriverInfo driver = Driver();
  EXPECT_EQ(driver.current.value(), kPages);
  EXPECT_EQ(driver.target.value(), kPages);
  EXPECT_EQ(driver.low.value(), kRoom);
  EXPECT_EQ(driver.high.value(), 0);
  EXPECT_EQ(driver.batch.value(), 512);
  EXPECT_EQ(driver.state, BalloonState::kNone);
  EXPECT_EQ(driver.schedule_delay, 1);
  EXPECT_EQ(driver.max_schedule_delay, 32);
  EXPECT_EQ(driver.retry_count, 1);
  EXPECT_EQ(driver.max_retry_count, 4);
  EXPECT_THAT(driver.extra_regions,
              testing::ElementsAre(PfnExtent{Pfn(kPages), PageCount(kRoom)}));
  EXPECT_EQ(domain_->balloon().timer().seconds, std::nullopt);
}

TEST_F(DomainBalloonDriverTest, IsNotThereBeforeBootAndAfterTheEnd) {
  const auto built = MustCreate(*host_, MakeSpec("b", kPages), true);
  EXPECT_FALSE(built->Info().balloon_driver.has_value());
  ASSERT_THAT(host_->DestroyDomain(domain_->id()), IsOk());
  EXPECT_FALSE(domain_->Info().balloon_driver.has_value());
  EXPECT_EQ(domain_->balloon().timer().seconds, std::nullopt);
}

TEST_F(DomainBalloonDriverTest,
       RoomLargerThanTheGuestStartsADriverLikeAnyOther) {
  const auto small = MustCreate(*host_, MakeSpec("b", 600, 1200));
  EXPECT_EQ(DriverOf(*small).current.value(), 600);
  EXPECT_EQ(DriverOf(*small).low.value(), 600);
  ASSERT_THAT(small->balloon().SetTarget({"set memory target"}, PageCount(650)),
              IsOk());
  EXPECT_EQ(small->Info().memory.current.value(), 650);
  EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
}

TEST_F(DomainBalloonDriverTest, FramesReleasedAtBootDoNotCount) {
  DomainSpec spec = MakeSpec("b", kPages);
  // 100 frames under the hole, and RAM for 40 of them above.
  spec.e820 = MakeMap({Ram(0, 1000 * kPageSize),
                       Reserved(1000 * kPageSize, 1100 * kPageSize),
                       Ram(1100 * kPageSize, (kPages + 40) * kPageSize)});
  const auto guest = MustCreate(*host_, spec);
  EXPECT_EQ(guest->Info().memory.current.value(), kPages - 60);
  EXPECT_EQ(DriverOf(*guest).current.value(), kPages - 60);
  EXPECT_THAT(DriverOf(*guest).extra_regions, testing::IsEmpty());
}

TEST_F(DomainBalloonDriverTest, FiguresAreThoseOfTheDomain) {
  ASSERT_THAT(SetTarget(2500), IsOk());
  EXPECT_EQ(Memory().current.value(), 2500);
  EXPECT_EQ(Driver().current.value(), 2500);
  EXPECT_EQ(Driver().target.value(), 2500);
  EXPECT_EQ(Driver().state, BalloonState::kDone);
  ASSERT_THAT(SetTarget(kPages + 10), IsOk());
  EXPECT_EQ(Driver().current.value(), kPages + 10);
  ASSERT_THAT(SetTarget(600), IsOk());
  EXPECT_EQ(Memory().current.value(), 600);
  EXPECT_EQ(Driver().current.value(), 600);
  EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
}

TEST_F(DomainBalloonDriverTest, RetriesUntilFramesAreThere) {
  FillHost(20);
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  EXPECT_EQ(Memory().current.value(), kPages + 20);
  EXPECT_EQ(Driver().state, BalloonState::kAgain);
  EXPECT_EQ(Wake(), 2);
  EXPECT_EQ(Driver().retry_count, 3);
  ASSERT_THAT(host_->DestroyDomain(other_->id()), IsOk());
  EXPECT_EQ(Memory().current.value(), kPages + 20);  // the guest is not told
  EXPECT_EQ(Wake(), 4);
  EXPECT_EQ(Memory().current.value(), kPages + 100);
  EXPECT_EQ(Driver().state, BalloonState::kDone);
  EXPECT_EQ(Driver().retry_count, 1);
  EXPECT_EQ(Wake(), std::nullopt);
}

TEST_F(DomainBalloonDriverTest, GivesUpAfterSoManyFailuresForAnHour) {
  FillHost(0);
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  EXPECT_EQ(Wake(), 2);
  EXPECT_EQ(Wake(), 4);
  EXPECT_EQ(Wake(), 8);
  EXPECT_EQ(Driver().state, BalloonState::kCancelled);
  EXPECT_EQ(Driver().target.value(), kPages + 100);
  EXPECT_EQ(Wake(), 3600);
  EXPECT_EQ(Driver().state, BalloonState::kAgain);
}

TEST_F(DomainBalloonDriverTest, SpecSaysHowOftenItRetries) {
  DomainSpec spec = MakeSpec("b", kPages, kPages + kRoom);
  spec.balloon_max_retry = 1;
  domain_ = MustCreate(*host_, spec);
  FillHost(0);
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  EXPECT_EQ(Driver().state, BalloonState::kCancelled);
  EXPECT_EQ(Driver().max_retry_count, 1);

  ASSERT_THAT(host_->DestroyDomain(domain_->id()), IsOk());
  ASSERT_THAT(host_->DestroyDomain(other_->id()), IsOk());
  spec.balloon_max_retry = 0;
  domain_ = MustCreate(*host_, spec);
  FillHost(0);
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  for (int i = 0; i < 50; ++i) Wake();
  EXPECT_EQ(Wake(), 32);
  EXPECT_EQ(Driver().state, BalloonState::kAgain);
}

TEST_F(DomainBalloonDriverTest, EmptyBalloonGivesUpTheDriversTargetAlone) {
  // The whole room becomes identity, and with it leaves the balloon.
  ASSERT_THAT(domain_->p2m().MarkIdentity({"mark identity"}, Pfn(kPages),
                                          Pfn(kPages + kRoom), false),
              IsOk());
  EXPECT_EQ(Driver().low.value(), 0);
  ASSERT_THAT(SetTarget(kPages + 50), IsOk());
  EXPECT_EQ(Driver().state, BalloonState::kCancelled);
  EXPECT_EQ(Driver().target, Driver().current);
  EXPECT_EQ(Memory().target.value(), kPages + 50);
  EXPECT_EQ(domain_->balloon().timer().seconds, std::nullopt);
  EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
}

TEST_F(DomainBalloonDriverTest, TimerIsOverOnceTheDriverHasWoken) {
  FillHost(0);
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  const BalloonTimer old = domain_->balloon().timer();
  ASSERT_THAT(SetTarget(kPages + 90), IsOk());
  EXPECT_EQ(Driver().retry_count, 3);
  ASSERT_THAT(host_->DestroyDomain(other_->id()), IsOk());
  EXPECT_THAT(domain_->balloon().Wake({"balloon timer"}, old), IsOk());
  EXPECT_EQ(Memory().current.value(), kPages);
}

TEST_F(DomainBalloonDriverTest, PausedAndDestroyedGuestsSleepOn) {
  FillHost(0);
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  const BalloonTimer timer = domain_->balloon().timer();
  ASSERT_THAT(domain_->Pause({"pause"}), IsOk());
  EXPECT_EQ(domain_->balloon().timer().seconds, 2);  // its time goes on
  ASSERT_THAT(host_->DestroyDomain(other_->id()), IsOk());
  EXPECT_THAT(domain_->balloon().Wake({"balloon timer"}, timer), IsOk());
  EXPECT_EQ(Memory().current.value(), kPages);
  EXPECT_EQ(domain_->balloon().timer().seconds, std::nullopt);
  ASSERT_THAT(domain_->Unpause({"unpause"}), IsOk());
  EXPECT_EQ(Memory().current.value(), kPages + 100);

  ASSERT_THAT(host_->DestroyDomain(domain_->id()), IsOk());
  EXPECT_THAT(domain_->balloon().Wake({"balloon timer"}, timer), IsOk());
}

TEST_F(DomainBalloonDriverTest, TargetThatIsThereDoesNotWakeTheDriver) {
  FillHost(20);
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  for (int i = 0; i < 6; ++i) ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  EXPECT_EQ(Driver().state, BalloonState::kAgain);
  EXPECT_EQ(Driver().retry_count, 2);
  ASSERT_THAT(host_->DestroyDomain(other_->id()), IsOk());
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  EXPECT_EQ(Memory().current.value(), kPages + 20);
  // What the hypervisor is asked for moves, whatever the driver waits for.
  EXPECT_EQ(*domain_->balloon().Up({"balloon up"}, PageCount(80), false),
            PageCount(80));
  EXPECT_EQ(Memory().current.value(), kPages + 100);
}

TEST_F(DomainBalloonDriverTest, TargetThatIsThereDoesNotWakeADriverThatGaveUp) {
  FillHost(0);
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  for (int i = 0; i < 3; ++i) Wake();
  EXPECT_EQ(Driver().state, BalloonState::kCancelled);
  ASSERT_THAT(host_->DestroyDomain(other_->id()), IsOk());
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  EXPECT_EQ(Driver().state, BalloonState::kCancelled);
  EXPECT_EQ(Memory().current.value(), kPages);
  ASSERT_THAT(SetTarget(kPages + 99), IsOk());
  EXPECT_EQ(Memory().current.value(), kPages + 99);
}

TEST_F(DomainBalloonDriverTest, WhatMovesDownResetsTheCountBeforeItFallsShort) {
  FillHost(0);
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  Wake();
  Wake();
  EXPECT_EQ(Driver().retry_count, 4);
  ASSERT_THAT(SetTarget(3), IsOk());
  EXPECT_EQ(Driver().state, BalloonState::kAgain);
  EXPECT_EQ(Driver().retry_count, 2);
  EXPECT_EQ(Driver().schedule_delay, 2);
}

TEST_F(DomainBalloonDriverTest, UnpausedGuestSleepsOnUntilItsTimerRunsOut) {
  FillHost(0);
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  ASSERT_THAT(domain_->Pause({"pause"}), IsOk());
  ASSERT_THAT(host_->DestroyDomain(other_->id()), IsOk());
  ASSERT_THAT(domain_->Unpause({"unpause"}), IsOk());
  EXPECT_EQ(Memory().current.value(), kPages);
  EXPECT_EQ(Driver().retry_count, 2);
  EXPECT_EQ(Wake(), 2);
  EXPECT_EQ(Memory().current.value(), kPages + 100);
}

TEST_F(DomainBalloonDriverTest, TargetSetWhilePausedCountsWhenUnpaused) {
  FillHost(0);
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  ASSERT_THAT(domain_->Pause({"pause"}), IsOk());
  ASSERT_THAT(SetTarget(kPages + 90), IsOk());
  ASSERT_THAT(host_->DestroyDomain(other_->id()), IsOk());
  ASSERT_THAT(domain_->Unpause({"unpause"}), IsOk());
  EXPECT_EQ(Memory().current.value(), kPages + 90);
}

TEST_F(DomainBalloonDriverTest, UnpausedGuestReadsItsTargetOnlyIfItWasWritten) {
  // Of 1000 pfns in the balloon, 60 are lent out; the driver gives up.
  std::vector<ForeignSlot> slots;
  std::vector<uint64_t> pfns;
  const Mfn frame(WordOf(*host_->Find(kDom0Id).value(), 1500).Number());
  for (uint64_t pfn = kPages; pfn < kPages + 60; ++pfn) {
    slots.push_back({Pfn(pfn), frame});
    pfns.push_back(pfn);
  }
  ForeignReport report;
  ASSERT_THAT(domain_->p2m().MapForeign({"map foreign"}, slots, report),
              IsOk());
  ASSERT_THAT(domain_->balloon().SetMaximum({"set maximum memory"},
                                            PageCount(kPages + 2 * kRoom)),
              IsOk());
  ASSERT_THAT(SetTarget(kPages + kRoom + 500), IsOk());
  EXPECT_EQ(Driver().state, BalloonState::kCancelled);
  EXPECT_EQ(Driver().current.value(), kPages + kRoom - 60);
  EXPECT_EQ(Driver().target.value(), kPages + kRoom);
  report = {};
  ASSERT_THAT(
      host_->UnmapForeign({"unmap foreign"}, domain_->id(), pfns, report),
      IsOk());

  ASSERT_THAT(domain_->Pause({"pause"}), IsOk());
  ASSERT_THAT(domain_->Unpause({"unpause"}), IsOk());
  EXPECT_EQ(Driver().current.value(), kPages + kRoom - 60);
  EXPECT_EQ(Driver().target.value(), kPages + kRoom);
  // The same one again differs from what the driver was left with.
  ASSERT_THAT(domain_->Pause({"pause"}), IsOk());
  ASSERT_THAT(SetTarget(kPages + kRoom + 500), IsOk());
  ASSERT_THAT(domain_->Unpause({"unpause"}), IsOk());
  EXPECT_EQ(Driver().current.value(), kPages + kRoom);
  EXPECT_EQ(Driver().target.value(), kPages + kRoom);
  EXPECT_EQ(Driver().state, BalloonState::kCancelled);
  EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
}

TEST_F(DomainBalloonDriverTest, GuestThatGoesOnAfterASaveSleepsOn) {
  FillHost(0);
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  const auto record = domain_->migration().Suspend({"save"});
  ASSERT_THAT(record, IsOk());
  ASSERT_THAT(host_->DestroyDomain(other_->id()), IsOk());
  ASSERT_THAT(
      domain_->migration().Resume({"resume"}, record->suspension, false),
      IsOk());
  EXPECT_EQ(Memory().current.value(), kPages);
  EXPECT_EQ(Driver().retry_count, 2);
  EXPECT_EQ(Wake(), 2);
  EXPECT_EQ(Memory().current.value(), kPages + 100);
}

TEST_F(DomainBalloonDriverTest, BatchesComeBackAsTheyWentIn) {
  // 512 pages from 2999 down, then 188 from 2487 down; the last batch in is the
  // first out, each from the page that was allocated first.
  ASSERT_THAT(SetTarget(kPages - 700), IsOk());
  ASSERT_THAT(SetTarget(kPages - 700 + 288), IsOk());
  EXPECT_TRUE(WordOf(*domain_, 2300).is_ram());
  EXPECT_TRUE(WordOf(*domain_, 2487).is_ram());
  EXPECT_TRUE(WordOf(*domain_, 2488).is_invalid());
  EXPECT_TRUE(WordOf(*domain_, 2899).is_invalid());
  EXPECT_TRUE(WordOf(*domain_, 2900).is_ram());
  EXPECT_TRUE(WordOf(*domain_, 2999).is_ram());
  EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
}

TEST_F(DomainBalloonDriverTest, MoveThatIsCutShortGoesOn) {
  int asked = 0;
  const auto stop = [&asked] {
    return ++asked > 1 ? absl::CancelledError("the client left")
                       : absl::OkStatus();
  };
  // Two stretches of free pages, so that it is asked twice.
  ASSERT_THAT(
      domain_->p2m().SetRange({"set p2m"}, {Pfn(2900), PageCount(1)},
                              P2mClass::kMissing, Mfn(0), RamPolicy::kRelease),
      IsOk());
  EXPECT_EQ(domain_->balloon()
                .SetTarget({"set memory target", stop}, PageCount(2000))
                .code(),
            Code::kCancelled);
  EXPECT_EQ(Memory().current.value(), 2900);
  EXPECT_EQ(Wake(), 1);
  EXPECT_EQ(Memory().current.value(), 2000);
}

TEST_F(DomainBalloonDriverTest, SameTargetAfterACallThatWasStoppedGoesOn) {
  const auto stop = [] { return absl::CancelledError("the client left"); };
  for (const uint64_t target : {uint64_t{2000}, kPages + 100}) {
    EXPECT_EQ(domain_->balloon()
                  .SetTarget({"set memory target", stop}, PageCount(target))
                  .code(),
              Code::kCancelled);
    EXPECT_NE(Memory().current.value(), target);
    EXPECT_EQ(Driver().retry_count, 1);
    EXPECT_THAT(SetTarget(target), IsOk());
    EXPECT_EQ(Memory().current.value(), target);
  }
  EXPECT_EQ(domain_->balloon().timer().seconds, std::nullopt);
}

TEST_F(DomainBalloonDriverTest, CallsThatAreStoppedAreNoRetries) {
  const auto stop = [] { return absl::CancelledError("the client left"); };
  FillHost(0);
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  ASSERT_EQ(Driver().retry_count, 2);
  for (uint64_t i = 0; i < 10; ++i) {
    EXPECT_EQ(domain_->balloon()
                  .SetTarget({"set memory target", stop}, PageCount(2000 + i))
                  .code(),
              Code::kCancelled);
  }
  EXPECT_EQ(Driver().state, BalloonState::kAgain);
  EXPECT_EQ(Driver().retry_count, 2);
  EXPECT_EQ(Memory().current.value(), kPages);
  EXPECT_EQ(Wake(), 2);
  EXPECT_EQ(Memory().current.value(), 2009);
}

TEST_F(DomainBalloonDriverTest, WakeUpCanBeStopped) {
  FillHost(0);
  ASSERT_THAT(SetTarget(kPages + 100), IsOk());
  ASSERT_THAT(host_->DestroyDomain(other_->id()), IsOk());
  const auto stop = [] { return absl::CancelledError("the daemon ends"); };
  EXPECT_EQ(domain_->balloon()
                .Wake({"balloon timer", stop}, domain_->balloon().timer())
                .code(),
            Code::kCancelled);
  EXPECT_EQ(Memory().current.value(), kPages);
  EXPECT_EQ(Wake(), 2);
  EXPECT_EQ(Memory().current.value(), kPages + 100);
}

TEST_F(DomainBalloonDriverTest, PagesTakenBehindItsBackAreNotAskedFor) {
  ASSERT_THAT(domain_->p2m().MarkIdentity({"mark identity"}, Pfn(2000),
                                          Pfn(2100), true),
              IsOk());
  EXPECT_EQ(Driver().current.value(), kPages - 100);
  EXPECT_EQ(Driver().target, Driver().current);
  ASSERT_THAT(SetTarget(kPages), IsOk());
  EXPECT_EQ(Memory().current.value(), kPages);
  EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
}

TEST(DomainBalloonPaeTest, LowMemoryComesBackBeforeHighMemory) {
  constexpr uint64_t kLowEnd = kAbiX86_32Pae.low_memory_pages;
  const auto host = MakeHost(kLowEnd + 10000);
  DomainSpec spec = MakeSpec("a", kLowEnd - 300, kLowEnd + 700);
  spec.arch = Arch::kX86_32Pae;
  const auto domain = MustCreate(*host, spec);
  ASSERT_EQ(domain->Info().balloon_driver->low.value(), 300);
  EXPECT_EQ(domain->Info().balloon_driver->high.value(), 700);
  EXPECT_EQ(domain->Info().balloon_driver->batch.value(), 1024);

  ASSERT_THAT(domain->balloon().SetTarget({"set memory target"},
                                          PageCount(kLowEnd - 290)),
              IsOk());
  EXPECT_TRUE(WordOf(*domain, kLowEnd - 10).is_ram());
  EXPECT_TRUE(WordOf(*domain, kLowEnd - 11).is_invalid());
  ASSERT_THAT(domain->balloon().SetTarget({"set memory target"},
                                          PageCount(kLowEnd + 50)),
              IsOk());
  EXPECT_TRUE(WordOf(*domain, kLowEnd - 300).is_ram());
  EXPECT_TRUE(WordOf(*domain, kLowEnd + 49).is_ram());
  EXPECT_TRUE(WordOf(*domain, kLowEnd + 50).is_invalid());
  EXPECT_EQ(domain->Info().balloon_driver->low.value(), 0);
  EXPECT_EQ(domain->Info().balloon_driver->high.value(), 650);

  // Down again: the high pages it got, the last in and the last to come back.
  ASSERT_THAT(domain->balloon().SetTarget({"set memory target"},
                                          PageCount(kLowEnd - 10)),
              IsOk());
  EXPECT_EQ(domain->Info().balloon_driver->low.value(), 10);
  EXPECT_EQ(domain->Info().balloon_driver->high.value(), 700);
  EXPECT_THAT(host->Audit().findings, testing::IsEmpty());
  ASSERT_THAT(domain->balloon().SetTarget({"set memory target"},
                                          PageCount(kLowEnd + 1)),
              IsOk());
  EXPECT_TRUE(WordOf(*domain, kLowEnd + 50).is_ram());
  EXPECT_TRUE(WordOf(*domain, kLowEnd).is_invalid());
}

}  // namespace
}  // namespace simvisor
