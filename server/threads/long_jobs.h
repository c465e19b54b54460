// Threads for long work: only a few, so that threads and CPUs remain for short
// calls.
//
// A job here may hold a domain's lock for seconds.  While all threads are busy,
// jobs wait, up to a limit; beyond it, calls are refused.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_THREADS_LONG_JOBS_H_
#define SIMVISOR_SERVER_THREADS_LONG_JOBS_H_

#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/threads/job_queue.h"
#include "server/threads/worker_pool.h"

namespace simvisor::server {

class LongJobs {
 public:
  // Starts at least one thread.
  LongJobs(int threads, size_t max_waiting);
  LongJobs(const LongJobs&) = delete;
  LongJobs& operator=(const LongJobs&) = delete;

  // Runs every job that was submitted, then ends the threads.
  ~LongJobs() = default;

  // Runs `job` on one of the threads.  RESOURCE_EXHAUSTED CALLS_EXHAUSTED, and
  // `job` is left as it is, if the queue is full.  A full queue first runs the
  // jobs of calls that are over, on this thread, to make room.  Jobs may submit
  // jobs.
  absl::Status Submit(CallJob& job) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Runs `job`, then the jobs that wait.
  void Work(CallJob job) ABSL_LOCKS_EXCLUDED(mu_);

  // Constant after construction.
  const int threads_;
  const size_t max_waiting_;

  absl::Mutex mu_;
  int at_work_ ABSL_GUARDED_BY(mu_) = 0;
  JobQueue waiting_ ABSL_GUARDED_BY(mu_);

  WorkerPool pool_;  // destroyed first
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_LONG_JOBS_H_
