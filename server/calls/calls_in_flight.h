// Counts the calls in flight, so that a drain knows when it is done.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_CALLS_CALLS_IN_FLIGHT_H_
#define SIMVISOR_SERVER_CALLS_CALLS_IN_FLIGHT_H_

#include <cassert>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace simvisor::server {

class CallsInFlight {
 public:
  void Begin() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    ++count_;
  }
  // REQUIRES: a matching Begin().
  void End() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    assert(count_ > 0);
    --count_;
  }

  // Waits until no call is in flight; false if that takes longer than
  // `timeout`.
  bool AwaitNone(absl::Duration timeout) const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return mu_.AwaitWithTimeout(absl::Condition(this, &CallsInFlight::IsNone),
                                timeout);
  }

 private:
  bool IsNone() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return count_ == 0; }

  mutable absl::Mutex mu_;
  int count_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_CALLS_IN_FLIGHT_H_
