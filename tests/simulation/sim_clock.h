// The clocks of a simulation, which runs on one thread.

#ifndef SIMVISOR_TESTS_SIMULATION_SIM_CLOCK_H_
#define SIMVISOR_TESTS_SIMULATION_SIM_CLOCK_H_

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/threads/clock.h"

namespace simvisor::server {

// Time passes only in Await() and Advance().
class SimClock final : public Clock {
 public:
  Time Now() const override { return now_; }

  // Sets what happens elsewhere during Await(); called without the lock.
  void SetMeanwhile(std::function<void()> meanwhile) {
    meanwhile_ = std::move(meanwhile);
  }

  // Unchecked, since it unlocks what its caller has locked.
  void Await(absl::Mutex* mu, const absl::Condition& condition,
             Time until) override ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (condition.Eval()) return;
    if (meanwhile_) {
      mu->Unlock();
      meanwhile_();
      mu->Lock();
    }
    if (!condition.Eval()) now_ = std::max(now_, until);
  }

  void Advance(Time::duration time) { now_ += time; }

 private:
  Time now_ = Time() + std::chrono::hours(1);
  std::function<void()> meanwhile_;
};

// The clock of a machine's own threads, which must stay idle: its time stands
// still.
class StandingClock final : public Clock {
 public:
  Time Now() const override { return Time() + std::chrono::hours(1); }
  void Await(absl::Mutex* mu, const absl::Condition& condition, Time) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    mu->Await(condition);
  }
};

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SIMULATION_SIM_CLOCK_H_
