// Queues the calls that wait for a busy domain.
//
// A short call must not wait for a domain's lock on a thread that short calls
// on other domains need.  So it enters the domain first, which only one call at
// a time can do, and only while the lock is free.  A call that cannot enter
// goes to the domain's lane, whose jobs run one after another, on threads
// reserved for lanes.  However many calls wait for a domain, they take one
// thread, so there is a thread for each domain that long work can hold at a
// time.
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
  // Runs the jobs of up to `threads` lanes at a time; at most `max_waiting`
  // jobs wait in each lane.
  DomainLanes(int threads, size_t max_waiting);
  DomainLanes(const DomainLanes&) = delete;
  DomainLanes& operator=(const DomainLanes&) = delete;

  // Runs every job that was submitted, then ends the threads.
  ~DomainLanes() = default;

  // Enters the domain until Leave(); false if another call is in it or waits
  // for it, or if the domain's lock is taken.
  [[nodiscard]] bool Enter(const Domain* domain) ABSL_LOCKS_EXCLUDED(mu_);
  void Leave(const Domain* domain) ABSL_LOCKS_EXCLUDED(mu_);

  // Runs `job` in the domain's lane; `domain` is only used as a key.
  // RESOURCE_EXHAUSTED CALLS_EXHAUSTED, and `job` is left as it is, if the lane
  // is full.  A full lane first runs the jobs of calls that are over, on this
  // thread, to make room.
  absl::Status Submit(const Domain* domain, CallJob& job)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The same, but never fails: for jobs that are bounded in another way.
  void SubmitAlways(const Domain* domain, CallJob job) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Runs one job of the lane, and queues the lane again if it has more.
  void Work(const Domain* domain) ABSL_LOCKS_EXCLUDED(mu_);

  const size_t max_waiting_;

  absl::Mutex mu_;
  absl::flat_hash_set<const Domain*> entered_ ABSL_GUARDED_BY(mu_);
  // The lanes that have a job waiting or running.
  absl::node_hash_map<const Domain*, JobQueue> lanes_ ABSL_GUARDED_BY(mu_);

  WorkerPool pool_;  // destroyed first
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_DOMAIN_LANES_H_
