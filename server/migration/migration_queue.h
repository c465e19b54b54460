// The threads of migrations that leave, which wait for their targets.
//
// Only some migrations to one target run at a time, so that a target that is
// slow or silent leaves threads to the others; how long a silent one can keep
// its own is bounded by the stall timeout.  The rest wait, first come first
// served for each target.
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
    size_t calls = 256;  // that run or wait
  };

  MigrationQueue() : MigrationQueue(Bounds()) {}
  explicit MigrationQueue(const Bounds& bounds);
  MigrationQueue(const MigrationQueue&) = delete;
  MigrationQueue& operator=(const MigrationQueue&) = delete;
  // REQUIRES: no job waits.  Ends when those that run have ended.
  ~MigrationQueue() = default;

  // Has `job` run once it may.  `call` names it for Withdraw().
  // RESOURCE_EXHAUSTED CALLS_EXHAUSTED.
  absl::Status Submit(const void* call, absl::string_view target,
                      WorkerPool::Job job) ABSL_LOCKS_EXCLUDED(mu_);
  // Takes back the job of `call`; false if it runs or has run.
  bool Withdraw(const void* call) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Waiting {
    const void* call;
    std::string target;
    WorkerPool::Job job;
  };

  // Hands those that may run to the threads.
  void StartSome() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Ended(const std::string& target) ABSL_LOCKS_EXCLUDED(mu_);

  const Bounds bounds_;

  absl::Mutex mu_;
  std::list<Waiting> waiting_ ABSL_GUARDED_BY(mu_);
  int running_ ABSL_GUARDED_BY(mu_) = 0;
  // By target; never 0.
  absl::flat_hash_map<std::string, int> running_to_ ABSL_GUARDED_BY(mu_);

  // Ends before what its jobs use.
  WorkerPool pool_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_MIGRATION_QUEUE_H_
