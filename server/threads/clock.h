// The time that timers go by, so that tests can have their own.
//
// Thread safety: implementations are thread-safe.

#ifndef SIMVISOR_SERVER_THREADS_CLOCK_H_
#define SIMVISOR_SERVER_THREADS_CLOCK_H_

#include <chrono>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace simvisor::server {

class Clock {
 public:
  // Never set back, as the clock on the wall may be.
  using Time = std::chrono::steady_clock::time_point;

  virtual ~Clock() = default;

  virtual Time Now() const = 0;

  // Waits until `condition` holds or it is `until`; Time::max() never is.
  virtual void Await(absl::Mutex* mu, const absl::Condition& condition,
                     Time until) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) = 0;
};

// The clock of the system; lasts as long as the process.
Clock* SystemClock();

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_CLOCK_H_
