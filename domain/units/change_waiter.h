// How a change waits while it has given up its domain's lock.
//
// A change of a domain with secondary MMUs waits for its turn, and then for
// answers.  The domain library has no threads and no clock: it opens a gate
// when the wait is over, and a ChangeWaiter waits for the gate.
//
// Thread safety: ChangeGate is thread-safe.  A ChangeWaiter is used by the
// threads of the operations that it is given to.

#ifndef SIMVISOR_DOMAIN_UNITS_CHANGE_WAITER_H_
#define SIMVISOR_DOMAIN_UNITS_CHANGE_WAITER_H_

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "domain/units/domain_identity.h"

namespace simvisor {

// Asked now and then inside page loops; a status other than OK ends the loop
// and becomes the result of the call.  Called with locks held: must not block
// and must not call back into a Host or a Domain.
using StopCheck = absl::FunctionRef<absl::Status()>;

// The StopCheck that never stops.
inline absl::Status NeverStop() { return absl::OkStatus(); }

// Closed until another thread's step lets a change go on.  Its lock is a leaf.
class ChangeGate {
 public:
  ChangeGate() = default;
  ChangeGate(const ChangeGate&) = delete;
  ChangeGate& operator=(const ChangeGate&) = delete;

  void Open() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    open_ = true;
  }
  void Close() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    open_ = false;
  }
  bool is_open() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return open_;
  }
  // Waits until the gate is open, at most `most`; returns whether it is.
  bool WaitFor(absl::Duration most) const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return mu_.AwaitWithTimeout(absl::Condition(&open_), most);
  }

 private:
  mutable absl::Mutex mu_;
  bool open_ ABSL_GUARDED_BY(mu_) = false;
};

// Where a change is; see docs/faults.md for the points of the same names.
enum class ChangePoint {
  kRegistering,  // a registration: nothing else changes, it is not inserted yet
  kBegin,        // subscribers have been told, and none has been waited for
  kAnswered,     // all have answered, nothing has changed; an error aborts
  kChanged,      // frames are free, subscribers do not know yet
  kRelease,      // subscribers of a dying domain have been told
};

class ChangeWaiter {
 public:
  virtual ~ChangeWaiter() = default;

  // The time by which leases are counted.  Monotonic; its origin does not
  // matter.
  virtual absl::Time Now() = 0;

  // Returns OK once `gate` is open or the time is `until`, or earlier the
  // status of `stop`, which it asks now and then.  Called with no lock held.
  virtual absl::Status Wait(const ChangeGate& gate, StopCheck stop,
                            absl::Time until) = 0;

  // Called when a change gets to `point`, with no lock held.  An error aborts
  // the change where the point allows that, and is ignored elsewhere.
  virtual absl::Status At(ChangePoint point, const DomainIdentity& domain);
};

// Waits on the calling thread, by the system's clock; asks `stop` every 20 ms.
ChangeWaiter& BlockingWaiter();

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_UNITS_CHANGE_WAITER_H_
