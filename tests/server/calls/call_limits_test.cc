#include "server/calls/call_limits.h"

#include <chrono>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

using std::chrono::seconds;
using testing::_;

constexpr WallTime kNow{seconds(1000)};

TEST(ServerCallLimitsTest, GoesOnBeforeTheDeadline) {
  EXPECT_TRUE(StopStatus(false, kNow, kNow + seconds(1)).ok());
  EXPECT_TRUE(StopStatus(false, kNow, WallTime::max()).ok());
}

TEST(ServerCallLimitsTest, StopsAtTheDeadline) {
  EXPECT_THAT(StopStatus(false, kNow, kNow),
              IsError(absl::StatusCode::kDeadlineExceeded,
                      Reason::kDeadlineExceeded, _));
}

TEST(ServerCallLimitsTest, StopsWhenCancelled) {
  EXPECT_THAT(StopStatus(true, kNow, kNow + seconds(1)),
              IsError(absl::StatusCode::kCancelled, Reason::kCancelled, _));
}

TEST(ServerCallLimitsTest, DeadlineThatCancelledTheCallIsTheReason) {
  EXPECT_THAT(StopStatus(true, kNow, kNow - seconds(1)),
              IsError(absl::StatusCode::kDeadlineExceeded,
                      Reason::kDeadlineExceeded, _));
}

}  // namespace
}  // namespace simvisor::server
