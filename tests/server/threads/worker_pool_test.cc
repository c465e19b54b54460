#include "server/threads/worker_pool.h"

#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/barrier.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace simvisor::server {
namespace {

TEST(ServerWorkerPoolTest, JobsRunInOrderOnOneThread) {
  std::vector<int> order;
  {
    WorkerPool pool(1);
    for (int i = 0; i < 100; ++i) {
      pool.Submit([&order, i] { order.push_back(i); });
    }
  }
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[i], i);
}

TEST(ServerWorkerPoolTest, ThreadsWorkAtTheSameTime) {
  WorkerPool pool(4);
  // No thread passes until all four have arrived.
  auto* const barrier = new absl::Barrier(4);
  absl::BlockingCounter done(4);
  for (int i = 0; i < 4; ++i) {
    pool.Submit([barrier, &done] {
      if (barrier->Block()) delete barrier;
      done.DecrementCount();
    });
  }
  done.Wait();
}

TEST(ServerWorkerPoolTest, JobsRunOffTheSubmittingThread) {
  WorkerPool pool(2);
  std::thread::id id;
  absl::Notification done;
  pool.Submit([&] {
    id = std::this_thread::get_id();
    done.Notify();
  });
  done.WaitForNotification();
  EXPECT_NE(id, std::this_thread::get_id());
}

TEST(ServerWorkerPoolTest, DestructorRunsQueuedJobs) {
  std::atomic<int> ran = 0;
  {
    WorkerPool pool(2);
    absl::Notification go;
    for (int i = 0; i < 2; ++i) {
      pool.Submit([&go] { go.WaitForNotification(); });
    }
    for (int i = 0; i < 1000; ++i) pool.Submit([&ran] { ++ran; });
    EXPECT_EQ(ran, 0);
    go.Notify();
  }
  EXPECT_EQ(ran, 1000);
}

TEST(ServerWorkerPoolTest, JobsSubmitJobsEvenWhileThePoolEnds) {
  std::atomic<int> ran = 0;
  {
    WorkerPool pool(2);
    pool.Submit([&] {
      pool.Submit([&] {
        ++ran;
        pool.Submit([&] { ++ran; });
      });
    });
  }
  EXPECT_EQ(ran, 2);
}

TEST(ServerWorkerPoolTest, PoolOfNoThreadsHasOne) {
  WorkerPool pool(0);
  absl::Notification done;
  pool.Submit([&done] { done.Notify(); });
  done.WaitForNotification();
}

}  // namespace
}  // namespace simvisor::server
