// The threads that run outgoing migrations, which block while they wait for
// their targets.
//
// Only a few migrations to one target run at a time, so a slow or silent target
// leaves threads to the others; the stall timeout bounds how long a silent one
// keeps its threads.  The rest wait, first come first served for each target.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_MIGRATION_MIGRATION_QUEUE_H_
#define SIMVISOR_SERVER_MIGRATION_MIGRATION_QUEUE_H_

#include <cstddef>
#include <list>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/threads/worker_pool.h"

namespace simvisor::server {

class MigrationQueue {
 public:
  struct Bounds {
    int threads = 32;
    int per_target = 8;
    size_t calls = 256;  // running or waiting
  };

  MigrationQueue() : MigrationQueue(Bounds()) {}
  explicit MigrationQueue(const Bounds& bounds);
  MigrationQueue(const MigrationQueue&) = delete;
  MigrationQueue& operator=(const MigrationQueue&) = delete;
  // Waits until the running jobs have ended.
  // REQUIRES: no job is waiting.
  ~MigrationQueue() = default;

  // Queues `job`.  `call` identifies it for Withdraw().  RESOURCE_EXHAUSTED
  // CALLS_EXHAUSTED if too many run or wait.
  absl::Status Submit(const void* call, absl::string_view target,
                      WorkerPool::Job job) ABSL_LOCKS_EXCLUDED(mu_);
  // Removes the job of `call` from the queue; false if it runs or has run.
  bool Withdraw(const void* call) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Waiting {
    const void* call;
    std::string target;
    WorkerPool::Job job;
  };

  // Hands the jobs that may run to the threads.
  void StartSome() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Ended(const std::string& target) ABSL_LOCKS_EXCLUDED(mu_);

  const Bounds bounds_;

  absl::Mutex mu_;
  std::list<Waiting> waiting_ ABSL_GUARDED_BY(mu_);
  int running_ ABSL_GUARDED_BY(mu_) = 0;
  // How many run, by target; without the targets that have none.
  absl::flat_hash_map<std::string, int> running_to_ ABSL_GUARDED_BY(mu_);

  // Declared last, so that it ends before the members that its jobs use.
  WorkerPool pool_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_MIGRATION_QUEUE_H_
