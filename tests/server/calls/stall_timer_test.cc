#include "server/calls/stall_timer.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

constexpr std::chrono::seconds kWindow{60};

class ServerStallTimerTest : public testing::Test {
 protected:
  std::unique_ptr<StallWatch> Watch() {
    return std::make_unique<StallWatch>(
        &timer_, "SaveDomain", [this](const absl::Status& why, StallWait wait) {
          absl::MutexLock lock(&mu_);
          taken_over_.push_back(why);
          last_wait_ = wait;
        });
  }
  // Lets this many seconds pass once the timer waits.
  void Pass(int count) {
    clock_.Advance(0);
    clock_.Advance(count);
  }
  size_t TakenOver() {
    absl::MutexLock lock(&mu_);
    return taken_over_.size();
  }
  absl::Status LastWhy() {
    absl::MutexLock lock(&mu_);
    return taken_over_.back();
  }

  FakeClock clock_;
  StallTimer timer_{&clock_, kWindow};
  absl::Mutex mu_;
  std::vector<absl::Status> taken_over_ ABSL_GUARDED_BY(mu_);
  StallWait last_wait_ ABSL_GUARDED_BY(mu_) = StallWait::kRead;
};

// The timer looks eight times in a window.
TEST_F(ServerStallTimerTest, WaitIsTakenOverWhenTheWindowHasPassed) {
  const auto watch = Watch();
  ASSERT_TRUE(watch->Wait(StallWait::kWrite, [] {}));
  Pass(59);
  EXPECT_EQ(TakenOver(), 0u);
  Pass(8);
  ASSERT_EQ(TakenOver(), 1u);
  EXPECT_THAT(LastWhy(), IsError(Code::kAborted, Reason::kCallStalled,
                                 HasSubstr("SaveDomain")));
  EXPECT_THAT(LastWhy(),
              IsError(Code::kAborted, Reason::kCallStalled, HasSubstr("1m")));
  absl::MutexLock lock(&mu_);
  EXPECT_EQ(last_wait_, StallWait::kWrite);
}

TEST_F(ServerStallTimerTest, CompletionAfterTheTakeoverIsIgnored) {
  const auto watch = Watch();
  ASSERT_TRUE(watch->Wait(StallWait::kRead, [] {}));
  Pass(70);
  EXPECT_FALSE(watch->Done());
  EXPECT_FALSE(watch->why().ok());
  Pass(70);
  EXPECT_EQ(TakenOver(), 1u);
}

TEST_F(ServerStallTimerTest, TimeInTheDaemonDoesNotCount) {
  const auto watch = Watch();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(watch->Wait(StallWait::kRead, [] {}));
    Pass(10);
    ASSERT_TRUE(watch->Done());
    watch->Moved(1);
    Pass(1000);
  }
  EXPECT_EQ(TakenOver(), 0u);
}

TEST_F(ServerStallTimerTest, TricklingBytesAreNotProgress) {
  const auto watch = Watch();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(watch->Wait(StallWait::kRead, [] {}));
    Pass(10);
    ASSERT_TRUE(watch->Done());
    watch->Moved(100);
  }
  ASSERT_TRUE(watch->Wait(StallWait::kRead, [] {}));
  Pass(18);
  EXPECT_EQ(TakenOver(), 1u);
}

TEST_F(ServerStallTimerTest, APagePerWindowIsProgress) {
  const auto watch = Watch();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(watch->Wait(StallWait::kRead, [] {}));
    Pass(25);
    ASSERT_TRUE(watch->Done());
    watch->Moved(kStallProgressBytes / 2);
  }
  EXPECT_EQ(TakenOver(), 0u);
}

TEST_F(ServerStallTimerTest, CallThatWaitsIsInterruptedAtOnce) {
  const auto watch = Watch();
  ASSERT_TRUE(watch->Wait(StallWait::kRead, [] {}));
  watch->Interrupt(absl::CancelledError("dropped"));
  ASSERT_EQ(TakenOver(), 1u);
  EXPECT_EQ(LastWhy(), absl::CancelledError("dropped"));
  EXPECT_FALSE(watch->Done());
  // Neither another interruption nor a stall counts after it.
  watch->Interrupt(absl::AbortedError("again"));
  Pass(100);
  EXPECT_EQ(TakenOver(), 1u);
  EXPECT_EQ(watch->why(), absl::CancelledError("dropped"));
}

TEST_F(ServerStallTimerTest, CallThatWorksIsInterruptedBeforeItsNextWait) {
  const auto watch = Watch();
  watch->Interrupt(absl::CancelledError("dropped"));
  EXPECT_EQ(TakenOver(), 0u);
  bool started = false;
  EXPECT_FALSE(watch->Wait(StallWait::kRead, [&started] { started = true; }));
  EXPECT_FALSE(started);
  EXPECT_EQ(watch->why(), absl::CancelledError("dropped"));
}

TEST_F(ServerStallTimerTest, InterruptWhileAWaitStartsIsActedOnAfterIt) {
  const auto watch = Watch();
  EXPECT_TRUE(watch->Wait(StallWait::kRead, [&] {
    watch->Interrupt(absl::CancelledError("dropped"));
    EXPECT_EQ(TakenOver(), 0u);
  }));
  EXPECT_EQ(TakenOver(), 1u);
}

TEST_F(ServerStallTimerTest, WriteInFlightCompletesBeforeAnInterrupt) {
  const auto watch = Watch();
  ASSERT_TRUE(watch->Wait(StallWait::kWrite, [] {}));
  watch->Interrupt(absl::CancelledError("dropped"));
  EXPECT_EQ(TakenOver(), 0u);
  EXPECT_TRUE(watch->Done());
  EXPECT_FALSE(watch->Wait(StallWait::kRead, [] {}));
  EXPECT_EQ(watch->why(), absl::CancelledError("dropped"));
}

TEST_F(ServerStallTimerTest, InterruptedCallWhoseWriteStallsIsTakenOver) {
  const auto watch = Watch();
  ASSERT_TRUE(watch->Wait(StallWait::kWrite, [] {}));
  watch->Interrupt(absl::CancelledError("dropped"));
  Pass(100);
  ASSERT_EQ(TakenOver(), 1u);
  EXPECT_EQ(LastWhy(), absl::CancelledError("dropped"));
}

TEST_F(ServerStallTimerTest, CallMayEndWhileItsWaitStarts) {
  std::unique_ptr<StallWatch> watch = Watch();
  EXPECT_TRUE(watch->Wait(StallWait::kWrite, [&watch] {
    EXPECT_TRUE(watch->Done());
    watch = nullptr;
  }));
  Pass(100);
  EXPECT_EQ(TakenOver(), 0u);
}

TEST_F(ServerStallTimerTest, EachCallHasItsOwnTime) {
  const auto first = Watch();
  ASSERT_TRUE(first->Wait(StallWait::kRead, [] {}));
  Pass(40);
  const auto second = Watch();
  ASSERT_TRUE(second->Wait(StallWait::kRead, [] {}));
  Pass(30);
  EXPECT_EQ(TakenOver(), 1u);
  EXPECT_FALSE(first->Done());
  EXPECT_TRUE(second->Done());
}

}  // namespace
}  // namespace simvisor::server
