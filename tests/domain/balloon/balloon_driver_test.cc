// The driver's arithmetic; whole sessions are in testdata/vectors/17_*.

#include "domain/balloon/balloon_driver.h"

#include <optional>
#include <vector>

#include "domain/collections/state_codec.h"
#include "domain/units/abi.h"
#include "gtest/gtest.h"
#include "tests/support/counted_driver.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using Direction = BalloonDriver::Direction;

CountedDriver Driver(uint64_t current, uint64_t target, uint64_t low,
                     uint64_t high = 0) {
  CountedDriver driver(kAbiX86_32Pae);
  driver.Start(PageCount(current));
  driver.SetBalloon(PageCount(low), PageCount(high));
  driver.SetTarget(PageCount(target));
  return driver;
}

TEST(BalloonDriverTest, RoundIsABatchOrLessIfLessIsWantedOrAvailable) {
  const uint64_t batch = kAbiX86_32Pae.balloon_batch();
  EXPECT_EQ(Driver(100, 100, 50).NextRound().direction, Direction::kNone);
  EXPECT_EQ(Driver(100, 90, 0).NextRound().pages, PageCount(10));
  EXPECT_EQ(Driver(9000, 90, 0).NextRound().pages, PageCount(batch));
  EXPECT_EQ(Driver(9000, 90, 0).NextRound(3).pages, PageCount(3 * batch));
  EXPECT_EQ(Driver(0, 9000, 9000).NextRound().pages, PageCount(batch));
  EXPECT_EQ(Driver(0, 9000, 5, 6).NextRound().pages, PageCount(11));
}

TEST(BalloonDriverTest, LowPagesComeBackBeforeHighOnes) {
  CountedDriver driver = Driver(0, 100, 10, 90);
  driver.EndRound(driver.NextRound(), PageCount(30));
  EXPECT_EQ(driver.low(), PageCount(0));
  EXPECT_EQ(driver.high(), PageCount(70));
  EXPECT_EQ(driver.current(), PageCount(30));
}

TEST(BalloonDriverTest, ShortGrantIsDoneOnTheWayUpAndAgainOnTheWayDown) {
  CountedDriver up = Driver(0, 100, 100);
  EXPECT_EQ(up.EndRound(up.NextRound(), PageCount(1)), BalloonState::kDone);
  EXPECT_EQ(up.EndRound(up.NextRound(), PageCount(0)), BalloonState::kAgain);
  CountedDriver down = Driver(100, 0, 0);
  EXPECT_EQ(down.EndRound(down.NextRound(), PageCount(99)),
            BalloonState::kAgain);
  EXPECT_EQ(down.current(), PageCount(1));
}

TEST(BalloonDriverTest, EmptyBalloonGivesUpTheTarget) {
  CountedDriver driver = Driver(40, 100, 0);
  EXPECT_EQ(driver.EndRound(driver.NextRound(), PageCount(0)),
            BalloonState::kCancelled);
  EXPECT_EQ(driver.target(), PageCount(40));
  EXPECT_EQ(driver.NextRound().direction, Direction::kNone);
}

TEST(BalloonDriverTest, EmptyBalloonCountsLentPages) {
  CountedDriver driver = Driver(3040, 3100, 0);
  driver.SetBalloon(PageCount(0), PageCount(0), PageCount(60));
  EXPECT_EQ(driver.EndRound(driver.NextRound(), PageCount(0)),
            BalloonState::kCancelled);
  EXPECT_EQ(driver.target(), PageCount(3100));
  EXPECT_TRUE(driver.gave_up_target());
  EXPECT_EQ(driver.SecondsToWake(), 3600);
}

TEST(BalloonDriverTest, TargetWakesOnlyIfTheCreditChanges) {
  CountedDriver driver = Driver(100, 100, 50);
  EXPECT_FALSE(driver.SetTarget(PageCount(100)));
  EXPECT_TRUE(driver.SetTarget(PageCount(120)));
  EXPECT_TRUE(driver.SetTarget(PageCount(120)));  // it has not slept yet
  driver.EndRound(driver.NextRound(), PageCount(0));
  EXPECT_FALSE(driver.SetTarget(PageCount(120)));
  EXPECT_TRUE(driver.SetTarget(PageCount(100)));
}

TEST(BalloonDriverTest, WholeBatchesAreSeparateRounds) {
  CountedDriver driver = Driver(3000, 0, 0);
  driver.EndRound(driver.NextRound(), PageCount(0));
  driver.EndRound(driver.NextRound(), PageCount(0));
  EXPECT_EQ(driver.policy().retry_count(), 3);
  // Takes all there is: this round is done, and only the next one fails.
  const BalloonDriver::Spare all = {.available = PageCount(600)};
  EXPECT_EQ(driver.EndRound(driver.NextRound(8), PageCount(600), all),
            BalloonState::kDone);
  EXPECT_EQ(driver.policy().retry_count(), 1);
  const BalloonDriver::Spare none = {.available = PageCount(0)};
  EXPECT_EQ(driver.EndRound(driver.NextRound(8), PageCount(0), none),
            BalloonState::kAgain);
  EXPECT_EQ(driver.policy().retry_count(), 2);
  // The allocator fails within the second batch.
  EXPECT_EQ(driver.EndRound(driver.NextRound(8), PageCount(1025)),
            BalloonState::kAgain);
  EXPECT_EQ(driver.policy().retry_count(), 2);
}

TEST(BalloonDriverTest, ReleasedPagesAreNotAskedForAgain) {
  CountedDriver driver = Driver(100, 100, 50);
  driver.Lose(PageCount(10));
  EXPECT_EQ(driver.credit(), 0);
  driver.SetTarget(PageCount(120));
  driver.Lose(PageCount(10));
  EXPECT_EQ(driver.credit(), 30);  // as before
  driver.SetTarget(PageCount(75));
  driver.Lose(PageCount(2));
  EXPECT_EQ(driver.credit(), -3);  // two of the five are given
  driver.Lose(PageCount(8));
  EXPECT_EQ(driver.current(), PageCount(70));
  EXPECT_EQ(driver.credit(), 0);
}

// For 500 pages with 1000 of room, the figures were below 0.
TEST(BalloonDriverTest, FiguresWithoutTheRoomAreReadCorrectly) {
  const auto decode = [](uint64_t target, BalloonState state,
                         BalloonDriver& driver) {
    StateWriter out;
    out.Put(1000);
    out.Put(target - 1000);
    out.Put(static_cast<uint64_t>(state));
    out.Put(1);
    out.Put(1);
    StateReader in(out.bytes());
    driver.DecodeLessRoom(
        in, {.target = PageCount(600), .most_pages = PageCount(100000)},
        {{Pfn(700), PageCount(1000)}});
    return in.status();
  };
  BalloonDriver driver(kAbiX86_64);
  EXPECT_THAT(decode(600, BalloonState::kDone, driver), IsOk());
  EXPECT_EQ(driver.target(), PageCount(600));
  EXPECT_FALSE(driver.gave_up_target());
  EXPECT_THAT(decode(500, BalloonState::kCancelled, driver), IsOk());
  EXPECT_EQ(driver.target(), PageCount(500));
  EXPECT_TRUE(driver.gave_up_target());
  EXPECT_FALSE(decode(500, BalloonState::kDone, driver).ok());
  EXPECT_FALSE(decode(100001, BalloonState::kCancelled, driver).ok());
}

TEST(BalloonDriverTest, SleepsAsLongAsItsOutcomeSays) {
  CountedDriver driver = Driver(0, 100, 50);
  EXPECT_EQ(driver.SecondsToWake(), 1);  // cut short before the first round
  for (const uint32_t delay : {2, 4, 8}) {
    driver.EndRound(driver.NextRound(), PageCount(0));
    EXPECT_EQ(driver.SecondsToWake(), delay);
  }
  driver.EndRound(driver.NextRound(), PageCount(0));
  EXPECT_EQ(driver.policy().state(), BalloonState::kCancelled);
  EXPECT_EQ(driver.SecondsToWake(), 3600);
  driver.EndRound(driver.NextRound(), PageCount(50));
  driver.EndRound(driver.NextRound(), PageCount(0));  // the balloon is empty
  EXPECT_EQ(driver.policy().state(), BalloonState::kCancelled);
  EXPECT_EQ(driver.SecondsToWake(), std::nullopt);
}

TEST(BalloonDriverTest, WakeUpWithNothingToDoRepeatsTheOutcome) {
  CountedDriver driver = Driver(100, 0, 0);
  driver.EndRound(driver.NextRound(), PageCount(10));
  driver.SetTarget(driver.current());
  EXPECT_EQ(driver.SecondsToWake(), 2);
  EXPECT_EQ(driver.EndRound(driver.NextRound(), PageCount(0)),
            BalloonState::kAgain);
  EXPECT_EQ(driver.policy().retry_count(), 3);
  driver.EndRound(driver.NextRound(), PageCount(0));
  EXPECT_EQ(driver.EndRound(driver.NextRound(), PageCount(0)),
            BalloonState::kCancelled);
  EXPECT_EQ(driver.SecondsToWake(), std::nullopt);
}

}  // namespace
}  // namespace simvisor
