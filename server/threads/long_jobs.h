// Threads for what lasts: a few, so that short calls find theirs, and the
// processors, free.
//
// A job here may hold a domain's lock for seconds.  What finds all threads at
// work waits, up to a bound; beyond it a call is refused at once.
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
  // At least one thread.
  LongJobs(int threads, size_t max_waiting);
  LongJobs(const LongJobs&) = delete;
  LongJobs& operator=(const LongJobs&) = delete;

  // Runs every job that was submitted, then ends the threads.
  ~LongJobs() = default;

  // Has `job` run on one of the threads.  RESOURCE_EXHAUSTED CALLS_EXHAUSTED,
  // and `job` is left as it is, if as many wait as may.  Jobs may submit jobs.
  // Runs jobs of calls that are over, if that makes room.
  absl::Status Submit(CallJob& job) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Runs `job`, then those that wait.
  void Work(CallJob job) ABSL_LOCKS_EXCLUDED(mu_);

  // Constant after construction.
  const int threads_;
  const size_t max_waiting_;

  absl::Mutex mu_;
  int at_work_ ABSL_GUARDED_BY(mu_) = 0;
  JobQueue waiting_ ABSL_GUARDED_BY(mu_);

  WorkerPool pool_;  // the first to go
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_LONG_JOBS_H_
