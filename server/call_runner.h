// What all calls of a server share: the threads for long work, and the count of
// calls in flight.
//
// Thread safety: both parts synchronise themselves.

#ifndef SIMVISOR_SERVER_CALL_RUNNER_H_
#define SIMVISOR_SERVER_CALL_RUNNER_H_

#include "server/calls_in_flight.h"
#include "server/worker_pool.h"

namespace simvisor::server {

struct CallRunner {
  explicit CallRunner(int threads) : pool(threads) {}

  CallsInFlight calls;  // outlives the jobs of the pool
  WorkerPool pool;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALL_RUNNER_H_
