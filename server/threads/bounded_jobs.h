// Limits how many threads of a worker pool one kind of job takes at a time, so
// that threads remain for others.
//
// Jobs above the limit wait in a queue of their own, first come first served.
// When a job ends, the first of them goes to the end of the pool's queue; there
// is no polling.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_THREADS_BOUNDED_JOBS_H_
#define SIMVISOR_SERVER_THREADS_BOUNDED_JOBS_H_

#include <deque>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/threads/worker_pool.h"

namespace simvisor::server {

class BoundedJobs {
 public:
  // Runs at most `at_once` jobs at a time, but at least one.  The pool's
  // threads end before this object is destroyed.
  BoundedJobs(WorkerPool* pool, int at_once);
  BoundedJobs(const BoundedJobs&) = delete;
  BoundedJobs& operator=(const BoundedJobs&) = delete;

  // Runs `job` on one of the pool's threads.  Jobs may submit jobs.
  void Submit(WorkerPool::Job job) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Runs a job that has a place.
  void Run(WorkerPool::Job job) ABSL_LOCKS_EXCLUDED(mu_);
  void Start(WorkerPool::Job job);

  // Constant after construction.
  WorkerPool* const pool_;
  const int at_once_;

  absl::Mutex mu_;
  int at_work_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<WorkerPool::Job> waiting_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_BOUNDED_JOBS_H_
