// Long jobs: how many run at a time, and how many wait.

#include "server/threads/long_jobs.h"

#include <atomic>
#include <memory>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "base/error.h"
#include "gtest/gtest.h"
#include "server/threads/job_queue.h"

namespace simvisor::server {
namespace {

CallJob Job(absl::AnyInvocable<void()> run) {
  return {.run = std::move(run), .is_over = [] { return false; }};
}

// A job that notifies `began` and waits for `go`.
CallJob Blocked(absl::Notification* began, absl::Notification* go) {
  return Job([began, go] {
    began->Notify();
    go->WaitForNotification();
  });
}

TEST(ServerJobQueueTest, TakesNoMoreThanItsLimitAndLeavesTheRest) {
  JobQueue queue(2);
  std::vector<CallJob> over;
  int ran = 0;
  for (int i = 0; i < 2; ++i) {
    CallJob job = Job([&ran] { ++ran; });
    EXPECT_TRUE(queue.Add(job, over));
  }
  CallJob third = Job([&ran] { ran += 100; });
  EXPECT_FALSE(queue.Add(third, over));
  ASSERT_TRUE(third.run);
  third.run();
  EXPECT_EQ(ran, 100);
  queue.Take().run();
  EXPECT_TRUE(queue.Add(third, over));
  queue.Take().run();
  queue.Take().run();
  EXPECT_TRUE(queue.empty());
  EXPECT_TRUE(over.empty());
}

TEST(ServerJobQueueTest, CallsThatAreOverMakeRoom) {
  JobQueue queue(3);
  std::vector<CallJob> over;
  std::vector<int> order;
  bool gone = false;
  for (int i = 0; i < 3; ++i) {
    CallJob job = {.run = [&order, i] { order.push_back(i); },
                   .is_over = [&gone, i] { return gone && i != 1; }};
    EXPECT_TRUE(queue.Add(job, over));
  }
  gone = true;
  CallJob job = Job([&order] { order.push_back(3); });
  EXPECT_TRUE(queue.Add(job, over));
  EXPECT_EQ(over.size(), 2u);
  for (CallJob& ended : over) ended.run();
  while (!queue.empty()) queue.Take().run();
  EXPECT_EQ(order, (std::vector<int>{0, 2, 1, 3}));
}

TEST(ServerLongJobsTest, RunsAllJobsOnItsThreads) {
  constexpr int kJobs = 100;
  std::atomic<int> at_work = 0;
  std::atomic<int> most = 0;
  std::atomic<int> done = 0;
  {
    LongJobs jobs(3, kJobs);
    for (int i = 0; i < kJobs; ++i) {
      CallJob job = Job([&] {
        const int now = ++at_work;
        for (int seen = most;
             now > seen && !most.compare_exchange_weak(seen, now);)
          continue;
        --at_work;
        ++done;
      });
      EXPECT_TRUE(jobs.Submit(job).ok());
    }
  }
  EXPECT_LE(most, 3);
  EXPECT_EQ(done, kJobs);
}

TEST(ServerLongJobsTest, JobBeyondTheLimitIsRefusedAndStaysWithItsCaller) {
  absl::Notification began;
  absl::Notification go;
  std::atomic<int> done = 0;
  {
    LongJobs jobs(1, 2);
    CallJob first = Blocked(&began, &go);
    EXPECT_TRUE(jobs.Submit(first).ok());
    began.WaitForNotification();
    for (int i = 0; i < 2; ++i) {
      CallJob job = Job([&done] { ++done; });
      EXPECT_TRUE(jobs.Submit(job).ok());
    }
    CallJob fourth = Job([&done] { done += 100; });
    const absl::Status status = jobs.Submit(fourth);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ReasonOf(status), "CALLS_EXHAUSTED");
    EXPECT_TRUE(fourth.run);
    go.Notify();
  }
  EXPECT_EQ(done, 2);
}

TEST(ServerLongJobsTest, CallsThatAreOverDoNotKeepOthersOut) {
  absl::Notification began;
  absl::Notification go;
  std::atomic<bool> gone = false;
  std::atomic<int> ended = 0;
  std::atomic<int> done = 0;
  {
    LongJobs jobs(1, 5);
    CallJob first = Blocked(&began, &go);
    EXPECT_TRUE(jobs.Submit(first).ok());
    began.WaitForNotification();
    for (int i = 0; i < 5; ++i) {
      CallJob job = {.run = [&ended] { ++ended; },
                     .is_over = [&gone] { return gone.load(); }};
      EXPECT_TRUE(jobs.Submit(job).ok());
    }
    gone = true;
    CallJob next = Job([&done] { ++done; });
    EXPECT_TRUE(jobs.Submit(next).ok());
    // They have ended even before the thread is free.
    EXPECT_EQ(ended, 5);
    go.Notify();
  }
  EXPECT_EQ(done, 1);
}

}  // namespace
}  // namespace simvisor::server
