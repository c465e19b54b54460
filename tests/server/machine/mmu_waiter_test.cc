#include "server/machine/mmu_waiter.h"

#include <chrono>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

class ServerMmuWaiterTest : public testing::Test {
 protected:
  FakeClock clock_{0};
  FaultInjector faults_{true};
  MmuWaiter waiter_{&clock_, &faults_};
  ChangeGate gate_;
};

TEST_F(ServerMmuWaiterTest, LeaseTimesAndClockTimesAreTheSame) {
  const Clock::Time now = clock_.Now();
  EXPECT_EQ(FromLeaseTime(ToLeaseTime(now)), now);
  EXPECT_EQ(FromLeaseTime(absl::InfiniteFuture()), Clock::Time::max());
  EXPECT_EQ(waiter_.Now(), ToLeaseTime(now));
  // Both are the system's.
  const MmuWaiter systems(SystemClock(), nullptr);
  const absl::Time before = BlockingWaiter().Now();
  EXPECT_LE(before, ToLeaseTime(SystemClock()->Now()));
}

TEST_F(ServerMmuWaiterTest, WaitsUntilTheGateOpens) {
  std::thread opener([this] { gate_.Open(); });
  EXPECT_THAT(waiter_.Wait(gate_, NeverStop, absl::InfiniteFuture()), IsOk());
  EXPECT_TRUE(gate_.is_open());
  opener.join();
}

TEST_F(ServerMmuWaiterTest, WaitsNoLongerThanItMay) {
  EXPECT_THAT(waiter_.Wait(gate_, NeverStop, waiter_.Now()), IsOk());
  EXPECT_FALSE(gate_.is_open());
  const absl::Time until = waiter_.Now() + absl::Milliseconds(50);
  std::thread clock(
      [this] { clock_.AdvanceBy(std::chrono::milliseconds(50)); });
  EXPECT_THAT(waiter_.Wait(gate_, NeverStop, until), IsOk());
  clock.join();
}

TEST_F(ServerMmuWaiterTest, StopsWhenItsCallIsOver) {
  int asked = 0;
  const auto stop = [&asked] {
    return ++asked < 3 ? absl::OkStatus() : absl::CancelledError("over");
  };
  EXPECT_EQ(waiter_.Wait(gate_, stop, absl::InfiniteFuture()).code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(asked, 3);
  // An open gate counts first.
  gate_.Open();
  EXPECT_THAT(waiter_.Wait(gate_, stop, absl::InfiniteFuture()), IsOk());
}

TEST_F(ServerMmuWaiterTest, ReachesTheFaultPointOfEachMoment) {
  const DomainIdentity web(DomainId(1), "web");
  const struct {
    ChangePoint moment;
    FaultPoint point;
  } kCases[] = {{ChangePoint::kRegistering, FaultPoint::kMmuRegistering},
                {ChangePoint::kBegin, FaultPoint::kMmuBegin},
                {ChangePoint::kAnswered, FaultPoint::kMmuAnswered},
                {ChangePoint::kChanged, FaultPoint::kMmuChanged},
                {ChangePoint::kRelease, FaultPoint::kMmuRelease}};
  for (const auto& [moment, point] : kCases) {
    EXPECT_THAT(waiter_.At(moment, web), IsOk());
    ASSERT_THAT(faults_.Add({.point = point, .domain = "web", .count = 1}),
                IsOk());
    EXPECT_FALSE(waiter_.At(moment, web).ok()) << FaultPointName(point);
    EXPECT_THAT(waiter_.At(moment, web), IsOk());
  }
  MmuWaiter without(&clock_, nullptr);
  EXPECT_THAT(without.At(ChangePoint::kBegin, web), IsOk());
}

}  // namespace
}  // namespace simvisor::server
