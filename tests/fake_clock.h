// A clock that stands still until a test moves it.
//
// For one object that waits for it with one mutex, from one thread.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_TESTS_FAKE_CLOCK_H_
#define SIMVISOR_TESTS_FAKE_CLOCK_H_

#include <atomic>
#include <chrono>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "server/clock.h"

namespace simvisor::server {

class FakeClock final : public Clock {
 public:
  Time Now() const override { return now_.load(); }

  void Await(absl::Mutex* mu, const absl::Condition& condition,
             Time until) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (mu_ == nullptr) {
      mu_ = mu;
      known_.Notify();
    }
    sleeper_ = {&condition, until};
    mu->Await(absl::Condition(this, &FakeClock::MustEnd));
    sleeper_ = {};
  }

  // Moves on by `seconds`; returns once whoever waits has done what was due.
  void Advance(int seconds) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    known_.WaitForNotification();
    absl::MutexLock lock(mu_);
    now_.store(Now() + std::chrono::seconds(seconds));
    mu_->Await(absl::Condition(this, &FakeClock::IsAsleep));
  }

 private:
  struct Sleeper {
    const absl::Condition* condition = nullptr;  // null: awake
    Time until;
  };

  // Both are evaluated with *mu_ held.
  bool MustEnd() const {
    return sleeper_.condition->Eval() || Now() >= sleeper_.until;
  }
  bool IsAsleep() const { return sleeper_.condition != nullptr && !MustEnd(); }

  std::atomic<Time> now_{Time() + std::chrono::hours(1)};
  absl::Mutex* mu_ = nullptr;  // written once, before known_
  absl::Notification known_;
  Sleeper sleeper_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_FAKE_CLOCK_H_
