// Calls that wait for a busy domain, and how a body gets into its lane.

#include "server/threads/domain_lanes.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/threads/job_scope.h"
#include "tests/support/host_testing.h"

namespace simvisor::server {
namespace {

class ServerDomainLanesTest : public testing::Test {
 protected:
  static CallJob Job(absl::AnyInvocable<void()> run) {
    return {.run = std::move(run), .is_over = [] { return false; }};
  }
  // Pauses the domain in its lane.
  void PauseInLane(const std::shared_ptr<Domain>& domain,
                   absl::BlockingCounter* done) {
    CallJob job = Job([domain, done] {
      EXPECT_TRUE(domain->Pause({"pause"}).ok());
      done->DecrementCount();
    });
    EXPECT_TRUE(lanes_->Submit(domain.get(), job).ok());
  }

  const std::unique_ptr<Host> host_ = MakeHost(40000);
  const std::shared_ptr<Domain> a_ = MustCreate(*host_, MakeSpec("a", 3000));
  const std::shared_ptr<Domain> b_ = MustCreate(*host_, MakeSpec("b", 3000));
  std::optional<DomainLanes> lanes_{std::in_place, 2, size_t{100}};
};

TEST_F(ServerDomainLanesTest, OneCallAtATimeEntersADomain) {
  EXPECT_TRUE(lanes_->Enter(a_.get()));
  EXPECT_FALSE(lanes_->Enter(a_.get()));
  EXPECT_TRUE(lanes_->Enter(b_.get()));
  lanes_->Leave(a_.get());
  EXPECT_TRUE(lanes_->Enter(a_.get()));
}

TEST_F(ServerDomainLanesTest, NoCallEntersADomainWhoseLockIsTaken) {
  a_->audit().Lock();
  EXPECT_FALSE(lanes_->Enter(a_.get()));
  EXPECT_TRUE(lanes_->Enter(b_.get()));
  a_->audit().Unlock();
  EXPECT_TRUE(lanes_->Enter(a_.get()));
}

TEST_F(ServerDomainLanesTest, AnyNumberOfCallsForABusyDomainHoldsOneThread) {
  constexpr int kCalls = 50;
  absl::BlockingCounter a_done(kCalls);
  absl::BlockingCounter b_done(1);
  a_->audit().Lock();
  for (int i = 0; i < kCalls; ++i) PauseInLane(a_, &a_done);
  EXPECT_FALSE(lanes_->Enter(a_.get()));
  // There are two threads.
  PauseInLane(b_, &b_done);
  b_done.Wait();
  EXPECT_EQ(a_->Info().state, DomainState::kRunning);
  a_->audit().Unlock();
  a_done.Wait();
  EXPECT_EQ(a_->Info().state, DomainState::kPaused);
}

TEST_F(ServerDomainLanesTest, JobsOfALaneRunInOrder) {
  std::vector<int> order;
  absl::BlockingCounter done(20);
  for (int i = 0; i < 20; ++i) {
    CallJob job = Job([&order, &done, i] {
      order.push_back(i);
      done.DecrementCount();
    });
    EXPECT_TRUE(lanes_->Submit(a_.get(), job).ok());
  }
  done.Wait();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(order[i], i);
}

TEST_F(ServerDomainLanesTest, JobBeyondTheLimitIsRefused) {
  absl::Notification began;
  absl::Notification go;
  CallJob first = Job([&] {
    began.Notify();
    go.WaitForNotification();
  });
  EXPECT_TRUE(lanes_->Submit(a_.get(), first).ok());
  began.WaitForNotification();
  std::atomic<int> done = 0;
  for (int i = 0; i < 100; ++i) {
    CallJob job = Job([&done] { ++done; });
    EXPECT_TRUE(lanes_->Submit(a_.get(), job).ok());
  }
  CallJob last = Job([&done] { ++done; });
  const absl::Status status = lanes_->Submit(a_.get(), last);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), "CALLS_EXHAUSTED");
  // Another domain's lane has its own room.
  EXPECT_TRUE(lanes_->Submit(b_.get(), last).ok());
  go.Notify();
  lanes_.reset();
  EXPECT_EQ(done, 101);
}

TEST_F(ServerDomainLanesTest, FullLaneTakesJobsThatAreBoundedInAnotherWay) {
  absl::Notification began;
  absl::Notification go;
  std::vector<int> order;
  CallJob first = Job([&] {
    began.Notify();
    go.WaitForNotification();
  });
  EXPECT_TRUE(lanes_->Submit(a_.get(), first).ok());
  began.WaitForNotification();
  for (int i = 0; i < 100; ++i) {
    CallJob job = Job([&order, i] { order.push_back(i); });
    EXPECT_TRUE(lanes_->Submit(a_.get(), job).ok());
  }
  lanes_->SubmitAlways(a_.get(), Job([&order] { order.push_back(100); }));
  // These do not take places of calls.
  std::atomic<int> done = 0;
  for (int i = 0; i < 100; ++i) {
    lanes_->SubmitAlways(b_.get(), Job([&done] { ++done; }));
  }
  CallJob call = Job([&done] { ++done; });
  EXPECT_TRUE(lanes_->Submit(b_.get(), call).ok());
  // An empty lane too.
  absl::BlockingCounter b_done(1);
  lanes_->SubmitAlways(b_.get(), Job([&b_done] { b_done.DecrementCount(); }));
  b_done.Wait();
  go.Notify();
  lanes_.reset();
  ASSERT_EQ(order.size(), 101u);
  EXPECT_EQ(order.back(), 100);
  EXPECT_EQ(done, 101);
}

TEST_F(ServerDomainLanesTest, BodyGoesToTheLaneWhereItMayWait) {
  a_->audit().Lock();
  {
    JobScope scope(&*lanes_, Place::kShort);
    EXPECT_FALSE(JobScope::Enter(a_).ok());
    EXPECT_TRUE(scope.detour().has_value() && scope.detour()->lane == a_);
  }
  for (const Place place : {Place::kLong, Place::kLane}) {
    const JobScope scope(&*lanes_, place);
    EXPECT_TRUE(JobScope::Enter(a_).ok());
    EXPECT_FALSE(scope.detour().has_value());
  }
  a_->audit().Unlock();
}

TEST_F(ServerDomainLanesTest, BodyLeavesTheDomainsItEntered) {
  {
    JobScope scope(&*lanes_, Place::kShort);
    EXPECT_TRUE(JobScope::Enter(a_).ok());
    EXPECT_TRUE(JobScope::Enter(a_).ok());
    EXPECT_TRUE(JobScope::Enter(b_).ok());
    EXPECT_FALSE(lanes_->Enter(a_.get()));
  }
  EXPECT_TRUE(lanes_->Enter(a_.get()));
  EXPECT_TRUE(lanes_->Enter(b_.get()));
}

TEST_F(ServerDomainLanesTest, OnlyLongWorkGoesToThreadsForLongWork) {
  // Lanes are for short bodies too.
  for (const Place place : {Place::kShort, Place::kLane}) {
    const JobScope scope(&*lanes_, place);
    EXPECT_TRUE(JobScope::BeginWork(/*is_short=*/true).ok());
    EXPECT_FALSE(JobScope::BeginWork(/*is_short=*/false).ok());
    ASSERT_TRUE(scope.detour().has_value());
    EXPECT_EQ(scope.detour()->lane, nullptr);
  }
  const JobScope there(&*lanes_, Place::kLong);
  EXPECT_TRUE(JobScope::BeginWork(/*is_short=*/false).ok());
}

TEST_F(ServerDomainLanesTest, ChangesThatMayWaitGoWhereTheyMay) {
  for (const Place place :
       {Place::kShort, Place::kLane, Place::kLong, Place::kWait}) {
    const JobScope scope(&*lanes_, place);
    EXPECT_TRUE(JobScope::BeginChange(*a_).ok());
  }
  MmuSpec spec;
  spec.name = "tlb";
  ASSERT_TRUE(a_->mmus().Register({.name = "subscribe"}, spec, {}).ok());
  for (const Place place : {Place::kShort, Place::kLane, Place::kLong}) {
    const JobScope scope(&*lanes_, place);
    EXPECT_FALSE(JobScope::BeginChange(*a_).ok());
    ASSERT_TRUE(scope.detour().has_value());
    EXPECT_EQ(scope.detour()->place, Place::kWait);
    EXPECT_TRUE(JobScope::BeginChange(*b_).ok());
  }
  JobScope there(&*lanes_, Place::kWait);
  EXPECT_TRUE(JobScope::BeginChange(*a_).ok());
  EXPECT_TRUE(JobScope::BeginWork(/*is_short=*/false).ok());
  // It enters no domain, which others may use while it waits.
  EXPECT_TRUE(JobScope::Enter(a_).ok());
  EXPECT_TRUE(lanes_->Enter(a_.get()));
}

TEST_F(ServerDomainLanesTest, WithoutAScopeEverythingIsAllowed) {
  a_->audit().Lock();
  EXPECT_TRUE(JobScope::Enter(a_).ok());
  EXPECT_TRUE(JobScope::BeginWork(/*is_short=*/false).ok());
  a_->audit().Unlock();
}

}  // namespace
}  // namespace simvisor::server
