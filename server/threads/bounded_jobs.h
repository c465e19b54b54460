// Jobs of the worker pool of which only some may be at work at a time, so that
// they leave threads to the others.
//
// Those that find no room wait in a queue of their own, first come first
// served.  A job that ends hands its place to the first of them, behind
// whatever waits in the pool's queue by then: nobody polls.
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
  // Runs at most `at_once` jobs at a time, at least one.  The pool's threads
  // end before this object does.
  BoundedJobs(WorkerPool* pool, int at_once);
  BoundedJobs(const BoundedJobs&) = delete;
  BoundedJobs& operator=(const BoundedJobs&) = delete;

  // Has `job` run on one of the pool's threads.  Jobs may submit jobs.
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
