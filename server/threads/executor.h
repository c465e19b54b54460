// Where jobs run that their caller does not wait for.
//
// Thread safety: an executor may be called from any thread.

#ifndef SIMVISOR_SERVER_THREADS_EXECUTOR_H_
#define SIMVISOR_SERVER_THREADS_EXECUTOR_H_

#include <functional>

namespace simvisor::server {

// Runs every job that it was given once, those that wait at shutdown too: on
// another thread, or, in tests, before it returns.  Throws std::bad_alloc if
// there is no memory for the job, which then does not run.
using Executor = std::function<void(std::function<void()> job)>;

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_EXECUTOR_H_
