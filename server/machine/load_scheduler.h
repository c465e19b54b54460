// Runs the loads of guests: does the writes that are due.
//
// A load says how many pages per second it writes, but its domain has no clock.
// Every 10 ms, one thread here does the writes that have come due in each
// domain with a load, without holding its own lock.  It drops domains that are
// gone or have no load any more, and keeps none alive.
//
// A domain that is busy with an operation is skipped until the next tick, so
// that other loads do not wait for it.
//
// A guest owes no writes for the time in which it does not run.  Writes that
// are late by more than 100 ms are dropped, and so are those that a domain
// cannot do within half a tick: a load that asks for too much must delay
// neither other loads nor the calls on its own domain, which run in the other
// half.
//
// Thread safety: thread-safe.  Never locks a domain while holding its own lock.

#ifndef SIMVISOR_SERVER_MACHINE_LOAD_SCHEDULER_H_
#define SIMVISOR_SERVER_MACHINE_LOAD_SCHEDULER_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "domain/vm/domain.h"
#include "server/threads/clock.h"

namespace simvisor::server {

class LoadScheduler {
 public:
  static constexpr std::chrono::milliseconds kTick{10};
  static constexpr std::chrono::milliseconds kTurn = kTick / 2;
  static constexpr std::chrono::milliseconds kMostOwed{100};

  // Starts the thread.  `clock` outlives this object.
  explicit LoadScheduler(Clock* clock);
  LoadScheduler(const LoadScheduler&) = delete;
  LoadScheduler& operator=(const LoadScheduler&) = delete;

  // Stops a load that is running, wherever it is, and ends the thread.
  ~LoadScheduler();

  // Runs the domain's load from now on.  Call it after each change that may
  // have given the domain a load or let its guest run.
  void AddDomain(const std::shared_ptr<Domain>& domain)
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // The progress of a load.
  struct Pace {
    Clock::Time seen;   // when it last ran
    uint64_t owed = 0;  // billionths of a write that were due by then
  };
  using Paces = std::map<std::weak_ptr<Domain>, Pace,
                         std::owner_less<std::weak_ptr<Domain>>>;

  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for the next tick and moves all domains into `due`; false when the
  // scheduler stops.
  bool TakeDue(Paces& due) ABSL_LOCKS_EXCLUDED(mu_);
  // Has the domain run again at the next tick.
  void Keep(const std::weak_ptr<Domain>& domain, const Pace& pace)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Does the writes that are due; returns whether to keep the domain.
  bool Run(Domain& domain, Pace& pace) ABSL_LOCKS_EXCLUDED(mu_);
  bool MustLook() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopping_.load() || next_tick_ < sleeping_until_;
  }

  Clock* const clock_;
  // Set under mu_; read without it by a running load.
  std::atomic<bool> stopping_ = false;

  absl::Mutex mu_;
  // All domains, except those that are running in this tick.
  Paces paces_ ABSL_GUARDED_BY(mu_);
  // max() while there are no loads.
  Clock::Time next_tick_ ABSL_GUARDED_BY(mu_) = Clock::Time::max();
  Clock::Time sleeping_until_ ABSL_GUARDED_BY(mu_);

  std::thread thread_;  // constant after construction
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_LOAD_SCHEDULER_H_
