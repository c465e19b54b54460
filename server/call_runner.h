// What all calls of a server share: the threads for long work, the count of
// calls in flight, and what goes on in guests between calls: the timers of
// balloon drivers, and loads.
//
// Thread safety: the parts synchronise themselves.

#ifndef SIMVISOR_SERVER_CALL_RUNNER_H_
#define SIMVISOR_SERVER_CALL_RUNNER_H_

#include "server/balloon_scheduler.h"
#include "server/calls_in_flight.h"
#include "server/clock.h"
#include "server/load_scheduler.h"
#include "server/worker_pool.h"

namespace simvisor::server {

struct CallRunner {
  // `clock` outlives this object.
  explicit CallRunner(int threads, Clock* clock = SystemClock())
      : balloons(clock), loads(clock), pool(threads) {}

  // These outlive the jobs of the pool.
  CallsInFlight calls;
  BalloonScheduler balloons;
  LoadScheduler loads;
  WorkerPool pool;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALL_RUNNER_H_
