// Threads for work that may take time, so that gRPC's own threads do not block.
//
// A fixed number of threads takes jobs from one queue, first come first served.
// The queue needs no limit of its own: each call in flight has one job, or a
// few if it is a stream, and the server limits the number of open calls.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_THREADS_WORKER_POOL_H_
#define SIMVISOR_SERVER_THREADS_WORKER_POOL_H_

#include <deque>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace simvisor::server {

class WorkerPool {
 public:
  using Job = absl::AnyInvocable<void()>;

  // Starts `threads` threads, at least one.
  explicit WorkerPool(int threads);
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Runs every job that was submitted, then ends the threads.
  ~WorkerPool();

  // Runs `job` on one of the threads.  Jobs may submit jobs.
  void Submit(Job job) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopping_ || !jobs_.empty();
  }

  absl::Mutex mu_;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;  // constant after construction
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_WORKER_POOL_H_
