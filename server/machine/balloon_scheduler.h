// Wakes balloon drivers whose timers run out.
//
// A driver that got too few pages tries again after a while (p2m.md B2); the
// domain says after how long, and has no clock.  Here one thread sleeps until
// the earliest of these moments and then has the driver's wake-up run by an
// executor, one wake-up at a time and with no lock of its own held, so that it
// keeps only other calls on that domain waiting.  A domain on which an
// operation is at work is looked at again a little later: the other drivers do
// not wait for it.
//
// A domain is not kept alive: one that is gone by then is dropped.  A timer
// that is out of date by then, since the driver has woken meanwhile, does
// nothing; so what may have woken a driver calls Watch() afterwards, and takes
// nothing back.  The domain notes one that runs out while its guest is paused.
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
  // Starts the thread.  `clock`, and what `executor` uses, outlive this object.
  BalloonScheduler(Clock* clock, Executor executor);
  BalloonScheduler(const BalloonScheduler&) = delete;
  BalloonScheduler& operator=(const BalloonScheduler&) = delete;

  // Stops a driver at work, where it is, and ends the thread.
  ~BalloonScheduler();

  // Remembers when `timer`, which is the domain's, runs out.  Call it after
  // each change that may have woken the driver.
  void Watch(const std::shared_ptr<Domain>& domain, const BalloonTimer& timer)
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Two domains may have one id for a moment.
  struct Entry {
    std::weak_ptr<Domain> domain;
    BalloonTimer timer;
  };
  using Timers = TimerQueue<DomainId, Entry>;

  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for the end of the wake-up under way, then for the next timer that
  // runs out, and takes it: its wake-up is under way then.  nullopt at the end.
  std::optional<Timers::Timer> TakeDue() ABSL_LOCKS_EXCLUDED(mu_);
  // The wake-up that is under way, to its end.
  void WakeUp(const Timers::Timer& due) ABSL_LOCKS_EXCLUDED(mu_);
  void Wake(const Entry& entry) ABSL_LOCKS_EXCLUDED(mu_);
  // Sets the timer again for a little later, unless there is another by now.
  void Postpone(DomainId id, const Entry& entry) ABSL_LOCKS_EXCLUDED(mu_);
  bool IsIdle() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !at_work_; }
  bool MustLook() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopping_.load() || timers_.NextDue() < sleeping_until_;
  }

  Clock* const clock_;
  const Executor executor_;
  // Set under mu_, and read without it by a driver at work.
  std::atomic<bool> stopping_ = false;

  mutable absl::Mutex mu_;
  Timers timers_ ABSL_GUARDED_BY(mu_);
  bool at_work_ ABSL_GUARDED_BY(mu_) = false;  // a wake-up is under way
  Clock::Time sleeping_until_ ABSL_GUARDED_BY(mu_);

  std::thread thread_;  // constant after construction
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_BALLOON_SCHEDULER_H_
