// A clock that stands still until a test moves it.
//
// For objects that each wait for it from one thread, with one mutex.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_TESTS_SUPPORT_FAKE_CLOCK_H_
#define SIMVISOR_TESTS_SUPPORT_FAKE_CLOCK_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/threads/clock.h"

namespace simvisor::server {

class FakeClock final : public Clock {
 public:
  // For this many objects.
  explicit FakeClock(size_t objects = 1) : objects_(objects) {}

  Time Now() const override { return now_.load(); }

  void Await(absl::Mutex* mu, const absl::Condition& condition,
             Time until) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    Sleeper& sleeper = SleeperOf(mu);
    sleeper.condition = &condition;
    sleeper.until = until;
    mu->Await(absl::Condition(&sleeper, &Sleeper::MustEnd));
    sleeper.condition = nullptr;
  }

  // Advances the clock by `time`; returns once all waiting objects have done
  // what was due.  Unchecked, since it locks each object's mutex in turn.
  void AdvanceBy(Time::duration time) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    AwaitObjects();
    now_.store(Now() + time);
    // No more objects will wait.
    for (auto& [mu, sleeper] : sleepers_) {
      mu->Lock();
      mu->Await(absl::Condition(&sleeper, &Sleeper::IsAsleep));
      mu->Unlock();
    }
  }
  void Advance(int seconds) { AdvanceBy(std::chrono::seconds(seconds)); }

 private:
  // Everything except the clock is guarded by the mutex that it sleeps with.
  struct Sleeper {
    const FakeClock* clock;
    const absl::Condition* condition = nullptr;  // null: awake
    Time until;

    // Both are evaluated with that mutex held.
    bool MustEnd() const { return condition->Eval() || clock->Now() >= until; }
    bool IsAsleep() const { return condition != nullptr && !MustEnd(); }
  };

  Sleeper& SleeperOf(absl::Mutex* mu) ABSL_LOCKS_EXCLUDED(list_mu_) {
    absl::MutexLock lock(&list_mu_);
    return sleepers_.try_emplace(mu, Sleeper{.clock = this, .until = {}})
        .first->second;
  }
  void AwaitObjects() ABSL_LOCKS_EXCLUDED(list_mu_) {
    absl::MutexLock lock(&list_mu_);
    list_mu_.Await(absl::Condition(this, &FakeClock::KnowsAll));
  }
  bool KnowsAll() const ABSL_SHARED_LOCKS_REQUIRED(list_mu_) {
    return sleepers_.size() == objects_;
  }

  const size_t objects_;
  std::atomic<Time> now_{Time() + std::chrono::hours(1)};
  absl::Mutex list_mu_;
  std::map<absl::Mutex*, Sleeper> sleepers_ ABSL_GUARDED_BY(list_mu_);
};

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SUPPORT_FAKE_CLOCK_H_
