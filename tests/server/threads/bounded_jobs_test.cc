// Jobs that leave threads of the pool to others.

#include "server/threads/bounded_jobs.h"

#include <atomic>
#include <functional>
#include <memory>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "server/threads/worker_pool.h"

namespace simvisor::server {
namespace {

TEST(ServerBoundedJobsTest, LongJobsLeaveThreadsToOthers) {
  constexpr int kJobs = 8;
  std::unique_ptr<WorkerPool> pool = std::make_unique<WorkerPool>(4);
  BoundedJobs jobs(pool.get(), 2);
  absl::Notification go;
  absl::BlockingCounter done(kJobs);
  for (int i = 0; i < kJobs; ++i) {
    jobs.Submit([&] {
      go.WaitForNotification();
      done.DecrementCount();
    });
  }
  absl::Notification other;
  pool->Submit([&] { other.Notify(); });
  other.WaitForNotification();
  // Jobs that found no room run once there is room.
  go.Notify();
  done.Wait();
  pool.reset();
}

TEST(ServerBoundedJobsTest, RunsNoMoreThanAllowedAndLosesNone) {
  constexpr int kChains = 50;
  constexpr int kLinks = 400;
  std::unique_ptr<WorkerPool> pool = std::make_unique<WorkerPool>(8);
  BoundedJobs jobs(pool.get(), 3);
  std::atomic<int> at_work = 0;
  std::atomic<int> most = 0;
  absl::BlockingCounter done(kChains);
  // Each submits the next one.
  std::function<void(int)> link = [&](int left) {
    const int now = ++at_work;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);)
      continue;
    if (left > 0) {
      jobs.Submit([&link, left] { link(left - 1); });
    }
    --at_work;
    if (left == 0) done.DecrementCount();
  };
  for (int i = 0; i < kChains; ++i) jobs.Submit([&] { link(kLinks); });
  done.Wait();
  EXPECT_LE(most, 3);
  pool.reset();
}

TEST(ServerBoundedJobsTest, EndingPoolRunsWaitingJobs) {
  int done = 0;  // one at a time
  std::unique_ptr<WorkerPool> pool = std::make_unique<WorkerPool>(2);
  BoundedJobs jobs(pool.get(), 1);
  for (int i = 0; i < 100; ++i) jobs.Submit([&] { ++done; });
  pool.reset();
  EXPECT_EQ(done, 100);
}

}  // namespace
}  // namespace simvisor::server
