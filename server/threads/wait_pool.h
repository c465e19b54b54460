// Threads for jobs that wait for clients: changes of domains with secondary
// MMUs, which wait for answers up to the end of a lease.
//
// Such a job holds no lock while it waits, but it does hold a thread, so it
// must not run where short calls run.  Threads are made when they are needed,
// up to a limit, and stay; jobs above the limit wait in a queue, first come
// first served.  The queue needs no limit of its own, as in WorkerPool.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_THREADS_WAIT_POOL_H_
#define SIMVISOR_SERVER_THREADS_WAIT_POOL_H_

#include <cstddef>
#include <deque>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/threads/worker_pool.h"

namespace simvisor::server {

class WaitPool {
 public:
  static constexpr size_t kMaxThreads = 64;

  // Makes at most `most` threads, at least one, which it makes at once.
  explicit WaitPool(size_t most = kMaxThreads);
  WaitPool(const WaitPool&) = delete;
  WaitPool& operator=(const WaitPool&) = delete;

  // Runs every job that was submitted, then ends the threads.
  ~WaitPool();

  // Runs `job` on one of the threads.  Jobs may submit jobs.  If the system
  // gives no further thread, the job waits for one of those there are.
  void Submit(WorkerPool::Job job) ABSL_LOCKS_EXCLUDED(mu_);

  // Threads made so far, and those of them that run no job.
  size_t threads() const ABSL_LOCKS_EXCLUDED(mu_);
  size_t idle() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void AddThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopping_ || !jobs_.empty();
  }

  const size_t most_;

  mutable absl::Mutex mu_;
  std::deque<WorkerPool::Job> jobs_ ABSL_GUARDED_BY(mu_);
  size_t idle_ ABSL_GUARDED_BY(mu_) = 0;  // threads that run no job
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_WAIT_POOL_H_
