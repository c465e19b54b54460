// What all calls of a server share: the threads for long work and the way past
// them for short work, the count of calls in flight, what goes on in guests
// between calls (the timers of balloon drivers, and loads), the heap that they
// leave behind, and the faults that are put in calls' way on purpose.
//
// Thread safety: the parts synchronise themselves.

#ifndef SIMVISOR_SERVER_CALL_RUNNER_H_
#define SIMVISOR_SERVER_CALL_RUNNER_H_

#include <functional>
#include <utility>

#include "server/balloon_scheduler.h"
#include "server/bounded_jobs.h"
#include "server/calls_in_flight.h"
#include "server/clock.h"
#include "server/fault_injector.h"
#include "server/heap_trim.h"
#include "server/load_scheduler.h"
#include "server/quick_gate.h"
#include "server/worker_pool.h"

namespace simvisor::server {

struct CallRunner {
  // `clock` and `injector`, which may be null, outlive this object.
  explicit CallRunner(int threads, Clock* clock = SystemClock(),
                      FaultInjector* injector = nullptr)
      : faults(injector == nullptr ? &no_faults : injector),
        balloons(clock),
        loads(clock),
        heap(
            [this](std::function<void()> job) { pool.Submit(std::move(job)); }),
        streams(&pool, threads / 2),
        pool(threads) {}
  CallRunner(const CallRunner&) = delete;
  CallRunner& operator=(const CallRunner&) = delete;

  // Stands in where there is no other; takes no rules.
  FaultInjector no_faults{/*enabled=*/false};
  FaultInjector* const faults;
  // These outlive the jobs of the pool.
  CallsInFlight calls;
  BalloonScheduler balloons;
  LoadScheduler loads;
  QuickGate quick;
  HeapTrimmer heap;
  // What StreamMemoryOps calls do: half of the threads are left to others.
  BoundedJobs streams;
  WorkerPool pool;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALL_RUNNER_H_
