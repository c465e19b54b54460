// The driver's arithmetic; whole sessions are in testdata/vectors/17_*.

#include "domain/guest/balloon_driver.h"

#include "domain/units/abi.h"
#include "gtest/gtest.h"

namespace simvisor {
namespace {

using Direction = BalloonDriver::Direction;

BalloonDriver Driver(uint64_t current, uint64_t target, uint64_t low,
                     uint64_t high = 0) {
  BalloonDriver driver(kAbiX86_32Pae);
  driver.SetPages(PageCount(current), PageCount(low), PageCount(high));
  driver.SetTarget(PageCount(target));
  return driver;
}

TEST(BalloonDriverTest, RoundIsABatchOrWhatIsWantedOrWhatThereIs) {
  const uint64_t batch = kAbiX86_32Pae.balloon_batch();
  EXPECT_EQ(Driver(100, 100, 50).NextRound().direction, Direction::kNone);
  EXPECT_EQ(Driver(100, 90, 0).NextRound().pages, PageCount(10));
  EXPECT_EQ(Driver(9000, 90, 0).NextRound().pages, PageCount(batch));
  EXPECT_EQ(Driver(9000, 90, 0).NextRound(3).pages, PageCount(3 * batch));
  EXPECT_EQ(Driver(0, 9000, 9000).NextRound().pages, PageCount(batch));
  EXPECT_EQ(Driver(0, 9000, 5, 6).NextRound().pages, PageCount(11));
}

TEST(BalloonDriverTest, LowPagesComeBackBeforeHighOnes) {
  BalloonDriver driver = Driver(0, 100, 10, 90);
  driver.EndRound(driver.NextRound(), PageCount(30));
  EXPECT_EQ(driver.low(), PageCount(0));
  EXPECT_EQ(driver.high(), PageCount(70));
  EXPECT_EQ(driver.current(), PageCount(30));
}

TEST(BalloonDriverTest, ShortGrantIsDoneOnTheWayUpAndAgainOnTheWayDown) {
  BalloonDriver up = Driver(0, 100, 100);
  EXPECT_EQ(up.EndRound(up.NextRound(), PageCount(1)), BalloonState::kDone);
  EXPECT_EQ(up.EndRound(up.NextRound(), PageCount(0)), BalloonState::kAgain);
  BalloonDriver down = Driver(100, 0, 0);
  EXPECT_EQ(down.EndRound(down.NextRound(), PageCount(99)),
            BalloonState::kAgain);
  EXPECT_EQ(down.current(), PageCount(1));
}

TEST(BalloonDriverTest, EmptyBalloonGivesUpTheTarget) {
  BalloonDriver driver = Driver(40, 100, 0);
  EXPECT_EQ(driver.EndRound(driver.NextRound(), PageCount(0)),
            BalloonState::kCancelled);
  EXPECT_EQ(driver.target(), PageCount(40));
  EXPECT_EQ(driver.NextRound().direction, Direction::kNone);
}

}  // namespace
}  // namespace simvisor
