// Wakes balloon drivers when their timers run out.
//
// A driver that got too few pages tries again after a while (p2m.md B2); the
// domain says after how long, but has no clock.  One thread here sleeps until
// the earliest timer runs out and then runs that driver's wake-up on an
// executor, one wake-up at a time and without holding its own lock, so that
// only calls on that domain have to wait.  A domain that is busy with an
// operation is tried again a little later, so that the other drivers do not
// wait for it.  The driver of a domain with secondary MMUs may have to wait for
// their answers: it wakes on another executor, at the same time as others.
//
// A timer does not keep its domain alive: if the domain is gone, the timer is
// dropped.  A timer that is out of date, because the driver has woken
// meanwhile, does nothing; so code that may have woken a driver only has to
// call SetTimer() afterwards.  If a timer runs out while the guest is paused,
// the domain remembers it.
//
// Thread safety: thread-safe.  Never locks a domain while holding its own
// lock.

#ifndef SIMVISOR_SERVER_MACHINE_BALLOON_SCHEDULER_H_
#define SIMVISOR_SERVER_MACHINE_BALLOON_SCHEDULER_H_

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "domain/units/units.h"
#include "domain/vm/domain.h"
#include "server/threads/clock.h"
#include "server/threads/executor.h"
#include "server/threads/timer_queue.h"

namespace simvisor::server {

class BalloonScheduler {
 public:
  // Starts the thread.  `clock`, and everything that the executors use, outlive
  // this object.  `waits` runs wake-ups that may wait for secondary MMUs; null:
  // `executor` runs them.
  BalloonScheduler(Clock* clock, Executor executor, Executor waits = nullptr);
  BalloonScheduler(const BalloonScheduler&) = delete;
  BalloonScheduler& operator=(const BalloonScheduler&) = delete;

  // Stops a driver that is running, wherever it is, and ends the thread.
  ~BalloonScheduler();

  // Tracks `timer`, the timer of the domain.  Call it after each change that
  // may have woken the driver.
  void SetTimer(const std::shared_ptr<Domain>& domain,
                const BalloonTimer& timer) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Two domains may have the same id for a moment.
  struct Entry {
    std::weak_ptr<Domain> domain;
    BalloonTimer timer;
  };
  using Timers = TimerQueue<DomainId, Entry>;

  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  // Starts the wake-up of `due` where it may wait; false if there is no memory
  // for that.
  bool StartApart(const Timers::Timer& due) ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until no wake-up is running and a timer has run out; takes that timer
  // and marks its wake-up as running.  nullopt when the scheduler stops.
  std::optional<Timers::Timer> TakeDue() ABSL_LOCKS_EXCLUDED(mu_);
  // Runs the wake-up of `due`, then marks it as done.
  void WakeUp(const Timers::Timer& due) ABSL_LOCKS_EXCLUDED(mu_);
  void Wake(const Entry& entry) ABSL_LOCKS_EXCLUDED(mu_);
  // Sets the timer again for a little later, unless the domain has another by
  // now.
  void Postpone(DomainId id, const Entry& entry) ABSL_LOCKS_EXCLUDED(mu_);
  bool IsIdle() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !at_work_; }
  bool NoneApart() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return apart_ == 0; }
  bool MustLook() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopping_.load() || timers_.NextDue() < sleeping_until_;
  }

  Clock* const clock_;
  const Executor executor_;
  const Executor waits_;
  // Set under mu_; read without it by a running driver.
  std::atomic<bool> stopping_ = false;

  mutable absl::Mutex mu_;
  Timers timers_ ABSL_GUARDED_BY(mu_);
  bool at_work_ ABSL_GUARDED_BY(mu_) = false;  // a wake-up is running
  int apart_ ABSL_GUARDED_BY(mu_) = 0;         // wake-ups that may wait
  Clock::Time sleeping_until_ ABSL_GUARDED_BY(mu_);

  std::thread thread_;  // constant after construction
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_BALLOON_SCHEDULER_H_
