// Wakes balloon drivers whose timers run out.
//
// A driver that got too few pages tries again after a while (B2); the domain
// says after how long, and has no clock.  Here one thread sleeps until the
// earliest of these moments, which stand in an ordered set, one for each
// domain.  It works on one driver at a time, with no lock of its own held, so
// that it keeps only other calls on that domain waiting.  A domain on which an
// operation is at work is looked at again a little later: the other drivers do
// not wait for it.
//
// A domain is not kept alive: one that is gone by then is dropped.  A timer
// that is out of date by then, since the driver has woken meanwhile, does
// nothing; so a call that may have woken a driver calls Watch() afterwards, and
// takes nothing back.  The domain notes one that runs out while its guest is
// paused.
//
// Thread safety: thread-safe.  Never locks a domain while holding its own
// lock.

#ifndef SIMVISOR_SERVER_MACHINE_BALLOON_SCHEDULER_H_
#define SIMVISOR_SERVER_MACHINE_BALLOON_SCHEDULER_H_

#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "domain/units/units.h"
#include "domain/vm/domain.h"
#include "server/threads/clock.h"

namespace simvisor::server {

class BalloonScheduler {
 public:
  // Starts the thread.  `clock` outlives this object.
  explicit BalloonScheduler(Clock* clock);
  BalloonScheduler(const BalloonScheduler&) = delete;
  BalloonScheduler& operator=(const BalloonScheduler&) = delete;

  // Stops a driver at work, where it is, and ends the thread.
  ~BalloonScheduler();

  // Looks at the timer of the domain's driver and remembers when it runs out.
  // To be called after whatever may have woken the driver.
  void Watch(const std::shared_ptr<Domain>& domain) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Entry {
    std::weak_ptr<Domain> domain;
    BalloonTimer timer;
    Clock::Time due;
  };

  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for the next timer that runs out, and takes it; nullopt at the end.
  std::optional<Entry> TakeDue() ABSL_LOCKS_EXCLUDED(mu_);
  void Wake(const Entry& entry) ABSL_LOCKS_EXCLUDED(mu_);
  // Takes the timer back for a little, unless there is another by now.
  void Postpone(DomainId id, Entry entry) ABSL_LOCKS_EXCLUDED(mu_);
  void Drop(DomainId id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Clock::Time NextDue() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  bool MustLook() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopping_.load() || NextDue() < sleeping_until_;
  }

  Clock* const clock_;
  // Set under mu_, and read without it by a driver at work.
  std::atomic<bool> stopping_ = false;

  mutable absl::Mutex mu_;
  absl::flat_hash_map<DomainId, Entry> entries_ ABSL_GUARDED_BY(mu_);
  // The same, by time.
  std::set<std::pair<Clock::Time, DomainId>> queue_ ABSL_GUARDED_BY(mu_);
  Clock::Time sleeping_until_ ABSL_GUARDED_BY(mu_);

  std::thread thread_;  // constant after construction
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_BALLOON_SCHEDULER_H_
