// When a guest's balloon driver works, and what is lent out of its balloon.

#include "domain/balloon/balloon.h"

#include <optional>
#include <vector>

#include "domain/units/abi.h"
#include "gtest/gtest.h"

namespace simvisor {
namespace {

constexpr PageCount kCurrent{1000};

Balloon Started() {
  Balloon balloon(kAbiX86_64, 4);
  balloon.list().Push({Pfn(1000), PageCount(100)});
  balloon.Start(kCurrent);
  balloon.ReadTarget(kCurrent, kCurrent);
  return balloon;
}

PfnSet SetOf(PfnExtent pfns) {
  PfnSet set;
  set.Add(pfns);
  return set;
}

TEST(BalloonTest, TargetIsReadOnceEachTimeItIsWritten) {
  Balloon balloon = Started();
  EXPECT_FALSE(balloon.ReadTarget(PageCount(900), kCurrent));
  EXPECT_EQ(balloon.driver().target(), kCurrent);
  balloon.TargetWritten();
  EXPECT_TRUE(balloon.ReadTarget(PageCount(900), kCurrent));
  EXPECT_EQ(balloon.driver().target(), PageCount(900));
  EXPECT_FALSE(balloon.ReadTarget(PageCount(900), kCurrent));
}

TEST(BalloonTest, RoundUsesThePagesThatItIsGiven) {
  Balloon balloon = Started();
  balloon.SetTarget(PageCount(1040), kCurrent);
  EXPECT_EQ(balloon.NextRound(kCurrent).pages, PageCount(40));
  EXPECT_EQ(balloon.NextRound(PageCount(900)).pages, PageCount(100));
  EXPECT_EQ(balloon.NextRound(PageCount(1100)).direction,
            BalloonDriver::Direction::kDown);
}

TEST(BalloonTest, StoppedRoundGoesOnWhenTheTargetIsReadAgain) {
  Balloon balloon = Started();
  balloon.SetTarget(PageCount(900), kCurrent);
  balloon.BeginWakeUp();
  const BalloonDriver::Round round = balloon.NextRound(kCurrent);
  balloon.StopRound(round, PageCount(30), PageCount(970));
  EXPECT_EQ(balloon.timer(PageCount(970)).seconds, 1);
  EXPECT_TRUE(balloon.ReadTarget(PageCount(900), PageCount(970)));
  balloon.BeginWakeUp();
  EXPECT_FALSE(balloon.ReadTarget(PageCount(900), PageCount(970)));
}

TEST(BalloonTest, MissedWakeUpIsMadeUpFor) {
  Balloon balloon = Started();
  balloon.SetTarget(PageCount(900), kCurrent);
  const BalloonTimer timer = balloon.timer(kCurrent);
  EXPECT_TRUE(balloon.IsDue(timer, kCurrent));
  balloon.MissWakeUp();
  EXPECT_EQ(balloon.timer(kCurrent).seconds, std::nullopt);
  EXPECT_TRUE(balloon.ReadTarget(PageCount(900), kCurrent));
  balloon.BeginWakeUp();
  EXPECT_FALSE(balloon.IsDue(timer, kCurrent));
}

TEST(BalloonTest, PagesOnTheirWayCountAsPartOfIt) {
  Balloon balloon = Started();
  balloon.Entering(PageCount(5));
  EXPECT_EQ(balloon.size(), PageCount(105));
  EXPECT_EQ(balloon.list().size(), PageCount(100));
  balloon.Enter(std::vector<PfnExtent>{{Pfn(500), PageCount(5)}});
  EXPECT_EQ(balloon.size(), PageCount(105));
  EXPECT_EQ(balloon.list().size(), PageCount(105));
}

TEST(BalloonTest, OnlyPagesOfTheListAreLentAndComeBack) {
  Balloon balloon = Started();
  balloon.Lend(SetOf({Pfn(990), PageCount(20)}));
  EXPECT_EQ(balloon.lent().size(), PageCount(10));
  EXPECT_EQ(balloon.size(), PageCount(90));
  balloon.TakeBack(Pfn(995));  // never was in it
  EXPECT_EQ(balloon.size(), PageCount(90));
  balloon.TakeBack(Pfn(1005));
  EXPECT_EQ(balloon.lent().size(), PageCount(9));
  EXPECT_EQ(balloon.size(), PageCount(91));
}

TEST(BalloonTest, EmptyBalloonGivesUpTheTargetExceptForWhatIsLent) {
  Balloon balloon(kAbiX86_64, 4);
  balloon.list().Push({Pfn(1000), PageCount(60)});
  balloon.Start(kCurrent);
  balloon.Lend(SetOf({Pfn(1000), PageCount(60)}));
  balloon.SetTarget(PageCount(1100), kCurrent);
  const BalloonDriver::Round round = balloon.NextRound(kCurrent);
  EXPECT_EQ(round.pages, PageCount(0));
  EXPECT_EQ(balloon.EndRound(round, PageCount(0), {}, kCurrent),
            BalloonState::kCancelled);
  EXPECT_EQ(balloon.driver().target(), PageCount(1060));
}

}  // namespace
}  // namespace simvisor
