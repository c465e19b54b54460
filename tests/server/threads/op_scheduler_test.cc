// Lanes, turns and jobs.  Turns that call back into the scheduler stand for
// other threads: it holds no lock then.

#include "server/threads/op_scheduler.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/threads/worker_pool.h"

namespace simvisor::server {
namespace {

using Scheduler = OpScheduler<char, std::string>;

// Operations are named by their key and a number, such as "a1".
class ServerOpSchedulerTest : public testing::Test {
 protected:
  void Make(const OpSchedulerLimits& limits) {
    scheduler_ = std::make_unique<Scheduler>(
        limits,
        [this](std::vector<std::string>& ops,
               absl::FunctionRef<bool()> is_over) {
          turns_.emplace_back();
          const size_t at = turns_.size() - 1;  // turns nest
          if (during_turn_) {
            turns_[at] = ops;
            std::exchange(during_turn_, nullptr)();
            return ops.size();
          }
          for (const std::string& op : ops) {
            if (!turns_[at].empty() && is_over()) break;
            turns_[at].push_back(op);
            now_ += op_time_;
          }
          return turns_[at].size();
        },
        [this] { return now_; },
        [this](char key, const std::string& next) {
          if (next == slow_) return OpWait::kLong;
          return busy_.find(key) == std::string::npos ? OpWait::kNone
                                                      : OpWait::kBrief;
        });
  }
  size_t Add(const std::vector<std::string>& ops) {
    std::vector<Scheduler::Entry> entries;
    for (const std::string& op : ops) entries.push_back({op[0], op});
    const size_t jobs = scheduler_->Add(entries);
    EXPECT_TRUE(entries.empty());
    return jobs;
  }

  std::unique_ptr<Scheduler> scheduler_;
  std::vector<std::vector<std::string>> turns_;
  std::function<void()> during_turn_;  // of the next turn
  Scheduler::Clock::time_point now_;
  std::chrono::milliseconds op_time_{0};
  std::string busy_;  // keys
  std::string slow_;  // an operation
};

using Turns = std::vector<std::vector<std::string>>;

TEST_F(ServerOpSchedulerTest, OperationsOfAKeyRunInOrder) {
  Make({});
  EXPECT_EQ(Add({"a1", "b1", "a2", "a3", "b2"}), 2u);
  EXPECT_FALSE(scheduler_->Run());
  EXPECT_EQ(turns_, (Turns{{"a1", "a2", "a3"}, {"b1", "b2"}}));
  // The second job finds nothing, and a new one is wanted for what comes next.
  EXPECT_FALSE(scheduler_->Run());
  EXPECT_EQ(Add({"a4"}), 1u);
  EXPECT_FALSE(scheduler_->Run());
  EXPECT_EQ(turns_.back(), std::vector<std::string>{"a4"});
}

TEST_F(ServerOpSchedulerTest, LongLanesTakeTurns) {
  Make({.jobs = 1, .ops_per_turn = 2, .ops_per_job = 100});
  EXPECT_EQ(Add({"a1", "a2", "a3", "b1", "a4", "a5", "b2", "b3"}), 1u);
  EXPECT_FALSE(scheduler_->Run());
  EXPECT_EQ(turns_,
            (Turns{{"a1", "a2"}, {"b1", "b2"}, {"a3", "a4"}, {"b3"}, {"a5"}}));
}

TEST_F(ServerOpSchedulerTest, JobMakesWayForOthersAndContinues) {
  Make({.jobs = 1, .ops_per_turn = 2, .ops_per_job = 3});
  EXPECT_EQ(Add({"a1", "a2", "a3", "a4", "a5"}), 1u);
  EXPECT_TRUE(scheduler_->Run());
  EXPECT_EQ(turns_, (Turns{{"a1", "a2"}, {"a3", "a4"}}));
  // The job goes on by itself: no further one is wanted meanwhile.
  EXPECT_EQ(Add({"b1"}), 0u);
  EXPECT_FALSE(scheduler_->Run());
  EXPECT_EQ(turns_.size(), 4u);
}

TEST_F(ServerOpSchedulerTest, JobMakesWayWhenItsTimeIsUpAndOrderHolds) {
  op_time_ = std::chrono::milliseconds(4);
  Make({.jobs = 1});
  EXPECT_EQ(Add({"a1", "a2", "a3", "a4", "a5", "b1"}), 1u);
  EXPECT_TRUE(scheduler_->Run());
  EXPECT_EQ(turns_, (Turns{{"a1", "a2", "a3"}}));
  EXPECT_EQ(Add({"a6", "b2"}), 0u);
  EXPECT_TRUE(scheduler_->Run());
  EXPECT_FALSE(scheduler_->Run());
  EXPECT_EQ(turns_,
            (Turns{{"a1", "a2", "a3"}, {"b1", "b2"}, {"a4"}, {"a5", "a6"}}));
}

TEST_F(ServerOpSchedulerTest, LongOperationIsATurn) {
  op_time_ = std::chrono::seconds(1);
  Make({.jobs = 1});
  EXPECT_EQ(Add({"a1", "a2", "b1"}), 1u);
  EXPECT_TRUE(scheduler_->Run());
  EXPECT_TRUE(scheduler_->Run());
  EXPECT_FALSE(scheduler_->Run());
  EXPECT_EQ(turns_, (Turns{{"a1"}, {"b1"}, {"a2"}}));
}

TEST_F(ServerOpSchedulerTest, BusyLanesAreSkippedAndAwaitedLast) {
  Make({.jobs = 1});
  busy_ = "ac";
  EXPECT_EQ(Add({"a1", "b1", "c1", "a2"}), 1u);
  Scheduler::Next next = scheduler_->Run();
  EXPECT_TRUE(next);
  EXPECT_EQ(next.wait_for, 'a');
  EXPECT_EQ(turns_, (Turns{{"b1"}}));
  // Where the job may wait, `a` runs although it is still busy.
  next = scheduler_->Run(next.wait_for);
  EXPECT_EQ(turns_, (Turns{{"b1"}, {"a1", "a2"}}));
  EXPECT_EQ(next.wait_for, 'c');
  EXPECT_FALSE(scheduler_->Run(next.wait_for));
  EXPECT_EQ(turns_.back(), std::vector<std::string>{"c1"});
}

TEST_F(ServerOpSchedulerTest, NextOperationOfALaneSaysHowLongItMayWait) {
  Make({.jobs = 1, .ops_per_turn = 1});
  slow_ = "a2";
  EXPECT_EQ(Add({"a1", "a2", "b1"}), 1u);
  Scheduler::Next next = scheduler_->Run();
  EXPECT_EQ(turns_, (Turns{{"a1"}, {"b1"}}));
  EXPECT_EQ(next.wait_for, 'a');
  EXPECT_EQ(next.wait, OpWait::kLong);
  EXPECT_FALSE(scheduler_->Run(next.wait_for));
  EXPECT_EQ(turns_.back(), std::vector<std::string>{"a2"});
  busy_ = "a";
  EXPECT_EQ(Add({"a3"}), 1u);
  EXPECT_EQ(scheduler_->Run().wait, OpWait::kBrief);
}

TEST_F(ServerOpSchedulerTest, JobThatWaitsDoesNotServeOtherLanes) {
  Make({.jobs = 2});
  busy_ = "a";
  EXPECT_EQ(Add({"a1"}), 1u);
  const Scheduler::Next next = scheduler_->Run();
  EXPECT_EQ(next.wait_for, 'a');
  EXPECT_EQ(Add({"b1"}), 1u);
  EXPECT_TRUE(scheduler_->Run());
  EXPECT_EQ(turns_, (Turns{{"b1"}}));
}

TEST_F(ServerOpSchedulerTest, AwaitedLaneMayBeDoneByThen) {
  Make({.jobs = 2});
  busy_ = "a";
  EXPECT_EQ(Add({"a1"}), 1u);
  const Scheduler::Next next = scheduler_->Run();
  busy_ = "";
  EXPECT_EQ(Add({"b1"}), 1u);
  EXPECT_FALSE(scheduler_->Run());
  EXPECT_EQ(turns_, (Turns{{"a1"}, {"b1"}}));
  EXPECT_FALSE(scheduler_->Run(next.wait_for));
  EXPECT_EQ(turns_.size(), 2u);
}

TEST(ServerOpSchedulerLifetimeTest, NothingIsDestroyedUnderTheLock) {
  using SharedScheduler = OpScheduler<char, std::shared_ptr<void>>;
  std::unique_ptr<SharedScheduler> scheduler;
  int gone = 0;
  // Would wait forever if the lock were held.
  const auto make = [&] {
    return std::shared_ptr<void>(nullptr, [&](void*) {
      ++gone;
      std::vector<SharedScheduler::Entry> none;
      EXPECT_EQ(scheduler->Add(none), 0u);
    });
  };
  scheduler = std::make_unique<SharedScheduler>(
      OpSchedulerLimits{.jobs = 1, .ops_per_turn = 1},
      [](std::vector<std::shared_ptr<void>>& ops, absl::FunctionRef<bool()>) {
        return ops.size();
      });
  std::vector<SharedScheduler::Entry> entries;
  for (int i = 0; i < 3; ++i) entries.push_back({'a', make()});
  ASSERT_EQ(scheduler->Add(entries), 1u);
  while (scheduler->Run()) continue;
  EXPECT_EQ(gone, 3);
}

TEST_F(ServerOpSchedulerTest, NoMoreJobsThanAllowed) {
  Make({.jobs = 2});
  EXPECT_EQ(Add({"a1", "b1", "c1"}), 2u);
  EXPECT_EQ(Add({"d1"}), 0u);
  EXPECT_FALSE(scheduler_->Run());
  EXPECT_EQ(turns_.size(), 4u);
  // One of the two jobs has yet to start.
  EXPECT_EQ(Add({"a2"}), 0u);
  EXPECT_FALSE(scheduler_->Run());
  EXPECT_EQ(turns_.size(), 5u);
}

TEST_F(ServerOpSchedulerTest, LaneHeldByAJobDoesNotDelayOthers) {
  Make({});
  ASSERT_EQ(Add({"a1"}), 1u);
  during_turn_ = [this] {
    // While a1 runs, its lane is not given to another job, and the other lanes
    // run.
    EXPECT_EQ(Add({"a2", "b1", "c1"}), 2u);
    EXPECT_FALSE(scheduler_->Run());
    EXPECT_FALSE(scheduler_->Run());
    EXPECT_EQ(turns_, (Turns{{"a1"}, {"b1"}, {"c1"}}));
    // What is added to this lane needs no new job: the one that holds it comes
    // back to it.
    EXPECT_EQ(Add({"a3"}), 0u);
  };
  EXPECT_FALSE(scheduler_->Run());
  EXPECT_EQ(turns_.size(), 4u);
  EXPECT_EQ(turns_.back(), (std::vector<std::string>{"a2", "a3"}));
}

TEST_F(ServerOpSchedulerTest, SlowLanesTakeUpNoMoreThanTheirJobs) {
  Make({.jobs = 2});
  ASSERT_EQ(Add({"a1"}), 1u);
  during_turn_ = [this] {
    EXPECT_EQ(Add({"b1"}), 1u);
    during_turn_ = [this] {
      // Both jobs are blocked now.
      EXPECT_EQ(Add({"c1"}), 0u);
    };
    EXPECT_FALSE(scheduler_->Run());
  };
  EXPECT_FALSE(scheduler_->Run());
  EXPECT_EQ(turns_, (Turns{{"a1"}, {"b1"}, {"c1"}}));
}

TEST(ServerOpSchedulerThreadsTest, EachKeyIsHeldByOneJobAndInOrder) {
  constexpr int kKeys = 7;
  constexpr int kOps = 20000;
  std::vector<int> next(kKeys, 0);  // unguarded on purpose: one job at a time
  std::vector<std::atomic<bool>> busy(kKeys);
  std::atomic<int> faults = 0;
  struct Op {
    int key;
    int number;
  };
  using IntScheduler = OpScheduler<int, Op>;
  absl::BlockingCounter left(kKeys * kOps);
  const auto scheduler = std::make_shared<IntScheduler>(
      OpSchedulerLimits{.jobs = 4, .ops_per_turn = 16, .ops_per_job = 64},
      [&](std::vector<Op>& ops, absl::FunctionRef<bool()>) {
        for (const Op& op : ops) {
          if (busy[op.key].exchange(true)) ++faults;
          if (next[op.key]++ != op.number) ++faults;
          busy[op.key] = false;
        }
        for (size_t i = 0; i < ops.size(); ++i) left.DecrementCount();
        return ops.size();
      });
  std::function<void()> job;  // outlives the pool, which copies it to the end
  WorkerPool pool(4);
  job = [&] {
    if (scheduler->Run()) pool.Submit(job);
  };
  std::vector<IntScheduler::Entry> entries;
  for (int number = 0; number < kOps; ++number) {
    for (int key = 0; key < kKeys; ++key)
      entries.push_back({key, {key, number}});
    if (number % 100 != 99) continue;
    for (size_t jobs = scheduler->Add(entries); jobs > 0; --jobs) {
      pool.Submit(job);
    }
  }
  left.Wait();
  EXPECT_EQ(faults, 0);
}

}  // namespace
}  // namespace simvisor::server
