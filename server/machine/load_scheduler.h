// Keeps the loads of guests going: does the writes that are due.
//
// A load says how many pages per second it writes, and its domain has no clock.
// Here one thread looks at all domains that have a load each 10 ms, and does
// what has come due of each since it last looked, with no lock of its own held.
// A domain that has no load any more, or is gone, is dropped; none is kept
// alive.
//
// A domain on which an operation is at work is passed over until the next tick,
// so that other loads do not wait for it.
//
// A guest that does not run owes nothing for that time.  What is late by more
// than 100 ms is forgotten, and so is what a domain cannot do within half a
// tick's time: a load that asks for too much must not keep the other loads
// waiting, nor the calls on its own domain, which come in in the other half.
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

  // Stops a load at work, where it is, and ends the thread.
  ~LoadScheduler();

  // Looks after the domain's load from now on.  Call it after each change that
  // may have given the domain one or let its guest run.
  void Watch(const std::shared_ptr<Domain>& domain) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // How far a load is.
  struct Pace {
    Clock::Time seen;   // when it was last looked at
    uint64_t owed = 0;  // billionths of a write that had come due by then
  };
  using Paces = std::map<std::weak_ptr<Domain>, Pace,
                         std::owner_less<std::weak_ptr<Domain>>>;

  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for the next tick, and takes all there is to look after into `due`;
  // false at the end.
  bool TakeDue(Paces& due) ABSL_LOCKS_EXCLUDED(mu_);
  // Looks after the domain again at the next tick.
  void Keep(const std::weak_ptr<Domain>& domain, const Pace& pace)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Does what is due; returns whether the domain is to be kept.
  bool Run(Domain& domain, Pace& pace) ABSL_LOCKS_EXCLUDED(mu_);
  bool MustLook() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopping_.load() || next_tick_ < sleeping_until_;
  }

  Clock* const clock_;
  // Set under mu_, and read without it by a load at work.
  std::atomic<bool> stopping_ = false;

  absl::Mutex mu_;
  // Those that are not being looked at.
  Paces paces_ ABSL_GUARDED_BY(mu_);
  // max() while there is nothing to look after.
  Clock::Time next_tick_ ABSL_GUARDED_BY(mu_) = Clock::Time::max();
  Clock::Time sleeping_until_ ABSL_GUARDED_BY(mu_);

  std::thread thread_;  // constant after construction
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_LOAD_SCHEDULER_H_
