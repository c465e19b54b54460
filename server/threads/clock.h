// The clock that timers use; tests replace it.
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
  // Monotonic.
  using Time = std::chrono::steady_clock::time_point;

  virtual ~Clock() = default;

  virtual Time Now() const = 0;

  // Waits until `condition` holds or the time is `until`; forever if that is
  // Time::max().
  virtual void Await(absl::Mutex* mu, const absl::Condition& condition,
                     Time until) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) = 0;
};

// The system's clock; lives as long as the process.
Clock* SystemClock();

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_CLOCK_H_
