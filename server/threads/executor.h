// Runs jobs that their caller does not wait for.
//
// Thread safety: an executor may be called from any thread.

#ifndef SIMVISOR_SERVER_THREADS_EXECUTOR_H_
#define SIMVISOR_SERVER_THREADS_EXECUTOR_H_

#include <functional>

namespace simvisor::server {

// Runs each job exactly once, also those still waiting at shutdown: on another
// thread, or, in tests, before it returns.  Throws std::bad_alloc if there is
// no memory for the job, which then does not run.
using Executor = std::function<void(std::function<void()> job)>;

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_EXECUTOR_H_
