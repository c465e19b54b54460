#include "server/threads/wait_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace simvisor::server {
namespace {

TEST(WaitPoolTest, RunsAJobWithoutFurtherThreads) {
  WaitPool pool;
  absl::Notification ran;
  pool.Submit([&] { ran.Notify(); });
  ran.WaitForNotification();
  EXPECT_EQ(pool.threads(), 1u);
}

TEST(WaitPoolTest, MakesAThreadForEachJobThatWaitsUpToTheLimit) {
  constexpr int kThreads = 8;
  WaitPool pool(kThreads);
  absl::Notification go_on;
  absl::BlockingCounter waiting(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    pool.Submit([&] {
      waiting.DecrementCount();
      go_on.WaitForNotification();
    });
  }
  // They all wait at the same time.
  waiting.Wait();
  EXPECT_EQ(pool.threads(), size_t{kThreads});
  go_on.Notify();
}

TEST(WaitPoolTest, JobsAboveTheLimitRunInTheOrderInWhichTheyCame) {
  absl::Mutex mu;
  std::vector<int> order;
  {
    WaitPool pool(1);
    absl::Notification go_on;
    pool.Submit([&] { go_on.WaitForNotification(); });
    for (int i = 0; i < 10; ++i) {
      pool.Submit([&, i] {
        absl::MutexLock lock(&mu);
        order.push_back(i);
      });
    }
    EXPECT_EQ(pool.threads(), 1u);
    go_on.Notify();
  }
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(WaitPoolTest, ReusesThreadsThatAreIdle) {
  WaitPool pool;
  for (int i = 0; i < 20; ++i) {
    absl::Notification ran;
    pool.Submit([&] { ran.Notify(); });
    ran.WaitForNotification();
    while (pool.idle() == 0) std::this_thread::yield();
  }
  EXPECT_EQ(pool.threads(), 1u);
}

TEST(WaitPoolTest, RunsWhatWasSubmittedBeforeItEnds) {
  std::atomic<int> ran = 0;
  {
    WaitPool pool(2);
    for (int i = 0; i < 100; ++i) pool.Submit([&] { ++ran; });
  }
  EXPECT_EQ(ran.load(), 100);
}

TEST(WaitPoolTest, JobsMaySubmitJobs) {
  std::atomic<int> ran = 0;
  {
    WaitPool pool(1);
    pool.Submit([&] {
      ++ran;
      pool.Submit([&] { ++ran; });
    });
  }
  EXPECT_EQ(ran.load(), 2);
}

TEST(WaitPoolTest, ReleasesWhatAJobHoldsBeforeItTakesTheNext) {
  WaitPool pool(1);
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = held;
  pool.Submit([held = std::move(held)] { EXPECT_EQ(*held, 1); });
  absl::Notification checked;
  pool.Submit([&] {
    EXPECT_TRUE(seen.expired());
    checked.Notify();
  });
  checked.WaitForNotification();
}

}  // namespace
}  // namespace simvisor::server
