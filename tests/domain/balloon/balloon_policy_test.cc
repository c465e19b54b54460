#include "domain/balloon/balloon_policy.h"

#include <cstdint>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace simvisor {
namespace {

using testing::ElementsAre;

TEST(BalloonPolicyTest, DelayDoublesUntilTheRetriesAreUsedUp) {
  BalloonPolicy policy;
  EXPECT_EQ(policy.state(), BalloonState::kNone);
  std::vector<uint32_t> delays;
  while (policy.Finish(BalloonState::kAgain) == BalloonState::kAgain) {
    delays.push_back(policy.delay_seconds());
  }
  EXPECT_THAT(delays, ElementsAre(2, 4, 8));
  EXPECT_EQ(policy.state(), BalloonState::kCancelled);
  EXPECT_EQ(policy.delay_seconds(), 1);
  EXPECT_EQ(policy.retry_count(), 1);
}

TEST(BalloonPolicyTest, UnlimitedRetriesStopAtTheLongestDelay) {
  BalloonPolicy policy(0);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(policy.Finish(BalloonState::kAgain), BalloonState::kAgain);
  }
  EXPECT_EQ(policy.delay_seconds(), BalloonPolicy::kMaxDelay);
  EXPECT_EQ(policy.retry_count(), 101);
}

TEST(BalloonPolicyTest, GivingUpForAnotherReasonLeavesTheCounts) {
  BalloonPolicy policy;
  policy.Finish(BalloonState::kAgain);
  EXPECT_EQ(policy.Finish(BalloonState::kCancelled), BalloonState::kCancelled);
  EXPECT_EQ(policy.delay_seconds(), 2);
  EXPECT_EQ(policy.retry_count(), 2);
}

TEST(BalloonPolicyTest, SuccessStartsOver) {
  BalloonPolicy policy;
  policy.Finish(BalloonState::kAgain);
  policy.Finish(BalloonState::kAgain);
  EXPECT_EQ(policy.Finish(BalloonState::kDone), BalloonState::kDone);
  EXPECT_EQ(policy.delay_seconds(), 1);
  EXPECT_EQ(policy.retry_count(), 1);
}

}  // namespace
}  // namespace simvisor
