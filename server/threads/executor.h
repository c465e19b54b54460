// Where jobs run that their caller does not wait for.
//
// Thread safety: an executor may be called from any thread.

#ifndef SIMVISOR_SERVER_THREADS_EXECUTOR_H_
#define SIMVISOR_SERVER_THREADS_EXECUTOR_H_

#include <functional>

namespace simvisor::server {

// Runs every job that it is given once: on another thread, or, in tests, at
// once.
using Executor = std::function<void(std::function<void()> job)>;

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_EXECUTOR_H_
