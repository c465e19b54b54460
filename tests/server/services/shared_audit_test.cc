// Callers of audits: which of them share a run, and when they may leave.

#include "server/host/shared_audit.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "base/error.h"
#include "gtest/gtest.h"
#include "server/threads/long_jobs.h"

namespace simvisor::server {
namespace {

// Each run waits until the test lets it end.
class ServerSharedAuditTest : public testing::Test {
 protected:
  absl::Status Run(StopCheck stop, AuditReport& report) {
    absl::MutexLock lock(&mu_);
    const int run = ++begun_;
    while (may_end_ < run) {
      if (const absl::Status status = stop(); !status.ok()) {
        ++stopped_;
        return status;
      }
      mu_.AwaitWithTimeout(absl::Condition(
                               +[](ServerSharedAuditTest* test) {
                                 test->mu_.AssertHeld();
                                 return test->may_end_ >= test->begun_;
                               },
                               this),
                           absl::Milliseconds(1));
    }
    report.frames = run;
    return absl::OkStatus();
  }
  void LetEnd(int runs) {
    absl::MutexLock lock(&mu_);
    may_end_ = runs;
  }
  void AwaitBegun(int runs) {
    awaited_ = runs;
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(
        +[](ServerSharedAuditTest* test) {
          test->mu_.AssertHeld();
          return test->begun_ >= test->awaited_;
        },
        this));
  }
  int begun() {
    absl::MutexLock lock(&mu_);
    return begun_;
  }
  int stopped() {
    absl::MutexLock lock(&mu_);
    return stopped_;
  }

  // Asks; the number of the run that answers goes to *answer, or -1.
  SharedAudit::Ticket Ask(std::atomic<int>* answer,
                          absl::BlockingCounter* done = nullptr) {
    return audit_->Ask(
        [answer, done](const absl::Status& status, const AuditReport& report) {
          *answer = status.ok() ? static_cast<int>(report.frames) : -1;
          if (done != nullptr) done->DecrementCount();
        });
  }

  absl::Mutex mu_;
  int begun_ ABSL_GUARDED_BY(mu_) = 0;
  int may_end_ ABSL_GUARDED_BY(mu_) = 0;
  int stopped_ ABSL_GUARDED_BY(mu_) = 0;
  std::atomic<int> awaited_ = 0;
  LongJobs jobs_{2, 10};
  std::shared_ptr<SharedAudit> audit_ = SharedAudit::Create(
      [this](StopCheck stop, AuditReport& report) { return Run(stop, report); },
      [this](CallJob& job) { return jobs_.Submit(job); }, 100);
};

TEST_F(ServerSharedAuditTest, CallersDuringARunShareTheNextOne) {
  constexpr int kLater = 50;
  absl::BlockingCounter done(1 + kLater);
  std::atomic<int> first = 0;
  std::vector<std::atomic<int>> later(kLater);
  Ask(&first, &done);
  AwaitBegun(1);
  for (std::atomic<int>& answer : later) Ask(&answer, &done);
  EXPECT_EQ(begun(), 1);
  LetEnd(2);
  done.Wait();
  EXPECT_EQ(first, 1);
  // Never the run that had begun before they asked.
  for (const std::atomic<int>& answer : later) EXPECT_EQ(answer, 2);
  EXPECT_EQ(begun(), 2);
}

TEST_F(ServerSharedAuditTest, CallerAfterARunGetsAnotherRun) {
  LetEnd(10);
  for (int run = 1; run <= 3; ++run) {
    absl::BlockingCounter done(1);
    std::atomic<int> answer = 0;
    Ask(&answer, &done);
    done.Wait();
    EXPECT_EQ(answer, run);
  }
}

TEST_F(ServerSharedAuditTest, CallerThatLeavesDoesNotAffectOthers) {
  absl::BlockingCounter done(3);
  std::vector<std::atomic<int>> answers(5);
  Ask(&answers[0], &done);
  const SharedAudit::Ticket running = Ask(&answers[1]);
  AwaitBegun(1);
  Ask(&answers[2], &done);
  const SharedAudit::Ticket waiting = Ask(&answers[3]);
  Ask(&answers[4], &done);
  EXPECT_TRUE(audit_->Leave(running));
  EXPECT_TRUE(audit_->Leave(waiting));
  EXPECT_FALSE(audit_->Leave(waiting));
  LetEnd(2);
  done.Wait();
  EXPECT_EQ(answers[1], 0);
  EXPECT_EQ(answers[3], 0);
  EXPECT_GT(answers[0], 0);
  EXPECT_EQ(answers[2], 2);
  EXPECT_EQ(answers[4], 2);
}

TEST_F(ServerSharedAuditTest, ARunWithoutCallersStops) {
  std::atomic<int> left = 0;
  std::atomic<int> next = 0;
  absl::BlockingCounter done(1);
  const SharedAudit::Ticket ticket = Ask(&left);
  AwaitBegun(1);
  EXPECT_TRUE(audit_->Leave(ticket));
  // It does not end by itself.
  Ask(&next, &done);
  AwaitBegun(2);
  EXPECT_EQ(stopped(), 1);
  LetEnd(2);
  done.Wait();
  EXPECT_EQ(left, 0);
  EXPECT_EQ(next, 2);
}

TEST_F(ServerSharedAuditTest, CallerBeyondTheLimitIsRefusedAtOnce) {
  constexpr int kMost = 100;
  absl::BlockingCounter done(1 + kMost);
  std::atomic<int> first = 0;
  std::vector<std::atomic<int>> answers(kMost);
  Ask(&first, &done);
  AwaitBegun(1);
  for (std::atomic<int>& answer : answers) Ask(&answer, &done);
  absl::Status refused;
  audit_->Ask([&refused](const absl::Status& status, const AuditReport&) {
    refused = status;
  });
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused), "CALLS_EXHAUSTED");
  LetEnd(2);
  done.Wait();
}

TEST_F(ServerSharedAuditTest, CallersLearnThatTheRunWasRefused) {
  const auto audit = SharedAudit::Create(
      [](StopCheck, AuditReport&) { return absl::OkStatus(); },
      [](CallJob&) { return TooManyWait("a thread", 7); }, 10);
  for (int i = 0; i < 3; ++i) {
    absl::Status told;
    audit->Ask([&told](const absl::Status& status, const AuditReport&) {
      told = status;
    });
    EXPECT_EQ(ReasonOf(told), "CALLS_EXHAUSTED");
  }
}

}  // namespace
}  // namespace simvisor::server
