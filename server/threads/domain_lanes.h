// Where calls wait for a domain on which another is at work.
//
// A short call must not wait for a domain's lock on a thread that short calls
// on other domains need.  So it enters the domain first, which only one call at
// a time can, and only while nobody holds the lock.  One that cannot goes to
// the domain's lane: its jobs are done one after the other, on threads that are
// there for lanes only.  However many calls wait for a domain, they hold one
// thread, so that there is a thread for each domain that long work may hold at
// the same time.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_THREADS_DOMAIN_LANES_H_
#define SIMVISOR_SERVER_THREADS_DOMAIN_LANES_H_

#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "domain/vm/domain.h"
#include "server/threads/job_queue.h"
#include "server/threads/worker_pool.h"

namespace simvisor::server {

class DomainLanes {
 public:
  // Does the jobs of `threads` lanes at a time; at most max_waiting jobs wait
  // in each.
  DomainLanes(int threads, size_t max_waiting);
  DomainLanes(const DomainLanes&) = delete;
  DomainLanes& operator=(const DomainLanes&) = delete;

  // Runs every job that was submitted, then ends the threads.
  ~DomainLanes() = default;

  // Enters the domain, until Leave(); false if another call is in it, or waits
  // for it, or its lock is taken.
  [[nodiscard]] bool Enter(const Domain* domain) ABSL_LOCKS_EXCLUDED(mu_);
  void Leave(const Domain* domain) ABSL_LOCKS_EXCLUDED(mu_);

  // Has `job` run in the domain's lane, which is only a key here.
  // RESOURCE_EXHAUSTED CALLS_EXHAUSTED, and `job` is left as it is, if as many
  // wait in it as may.  Runs jobs of calls that are over, if that makes room.
  absl::Status Submit(const Domain* domain, CallJob& job)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The same without refusal, for jobs that are bounded otherwise.
  void SubmitAlways(const Domain* domain, CallJob job) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Does one job of the lane, and sees to it that the others are done.
  void Work(const Domain* domain) ABSL_LOCKS_EXCLUDED(mu_);

  const size_t max_waiting_;

  absl::Mutex mu_;
  absl::flat_hash_set<const Domain*> entered_ ABSL_GUARDED_BY(mu_);
  // Those that have jobs, waiting or at work.
  absl::node_hash_map<const Domain*, JobQueue> lanes_ ABSL_GUARDED_BY(mu_);

  WorkerPool pool_;  // the first to go
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_DOMAIN_LANES_H_
