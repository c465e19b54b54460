#include "server/migration/migration_queue.h"

#include <string>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

using testing::HasSubstr;

TEST(ServerMigrationQueueTest, StuckTargetLeavesThreadsToOthers) {
  absl::Notification go, healthy;
  MigrationQueue queue({.threads = 4, .per_target = 2, .calls = 100});
  for (int i = 0; i < 20; ++i) {
    ASSERT_THAT(
        queue.Submit(&queue, "stuck", [&go] { go.WaitForNotification(); }),
        IsOk());
  }
  ASSERT_THAT(queue.Submit(&queue, "healthy", [&healthy] { healthy.Notify(); }),
              IsOk());
  healthy.WaitForNotification();
  go.Notify();
  // The queue must not be destroyed while jobs wait in it.
  absl::Notification last;
  ASSERT_THAT(queue.Submit(&queue, "stuck", [&last] { last.Notify(); }),
              IsOk());
  last.WaitForNotification();
}

TEST(ServerMigrationQueueTest, JobsToOneTargetRunInOrder) {
  std::vector<int> order;
  absl::BlockingCounter done(50);
  MigrationQueue queue({.threads = 4, .per_target = 1, .calls = 100});
  for (int i = 0; i < 50; ++i) {
    ASSERT_THAT(queue.Submit(nullptr, "one",
                             [&, i] {
                               order.push_back(i);
                               done.DecrementCount();
                             }),
                IsOk());
  }
  done.Wait();
  ASSERT_EQ(order.size(), 50u);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(order[i], i);
}

TEST(ServerMigrationQueueTest, NumberOfCallsIsBounded) {
  absl::Notification go;
  MigrationQueue queue({.threads = 1, .per_target = 1, .calls = 3});
  const auto wait = [&go] { go.WaitForNotification(); };
  const int calls[4] = {};
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(queue.Submit(&calls[i], "one", wait), IsOk());
  }
  EXPECT_THAT(queue.Submit(&calls[3], "other", wait),
              IsError(absl::StatusCode::kResourceExhausted,
                      Reason::kCallsExhausted, HasSubstr("other")));
  EXPECT_TRUE(queue.Withdraw(&calls[2]));
  EXPECT_FALSE(queue.Withdraw(&calls[2]));
  EXPECT_TRUE(queue.Withdraw(&calls[1]));
  // This job runs.
  EXPECT_FALSE(queue.Withdraw(&calls[0]));
  EXPECT_THAT(queue.Submit(&calls[3], "other", wait), IsOk());
  EXPECT_TRUE(queue.Withdraw(&calls[3]));
  go.Notify();
}

}  // namespace
}  // namespace simvisor::server
