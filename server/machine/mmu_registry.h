// Which domain each subscription of a secondary MMU is in, and the ends of
// their leases.
//
// A subscription is in the registry from when it is registered until its stream
// has ended and it can no longer be resumed.  One thread sleeps until the next
// lease ends and then fences those whose lease has ended, domain by domain.  It
// does not look more often than that: a lease only grows while the thread
// sleeps, so it wakes at most once for each lease of a subscription.
//
// A subscription that is fenced while it has no stream is kept for a while, so
// that its client learns why it cannot resume.
//
// The registry keeps no domain alive.
//
// Thread safety: thread-safe.  Takes no lock of a domain, and never holds its
// own while it calls SecondaryMmus.

#ifndef SIMVISOR_SERVER_MACHINE_MMU_REGISTRY_H_
#define SIMVISOR_SERVER_MACHINE_MMU_REGISTRY_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "domain/smmu/mmu_types.h"
#include "domain/vm/domain.h"
#include "server/machine/fault_injector.h"
#include "server/threads/clock.h"
#include "server/threads/timer_queue.h"

namespace simvisor::server {

class MmuRegistry {
 public:
  // How many fenced subscriptions without a stream are kept.
  static constexpr size_t kMaxEnded = 1024;

  // Starts the thread.  Both outlive this object.
  MmuRegistry(Clock* clock, FaultInjector* faults);
  MmuRegistry(const MmuRegistry&) = delete;
  MmuRegistry& operator=(const MmuRegistry&) = delete;
  // Ends the thread.
  ~MmuRegistry();

  // Adds a subscription that has just been registered, and watches its lease.
  void Add(SubscriptionId id, const std::shared_ptr<Domain>& domain)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The subscription has a stream again.
  void Attach(SubscriptionId id) ABSL_LOCKS_EXCLUDED(mu_);
  // Its stream broke, and SecondaryMmus::Detach() was called.  Returns whether
  // it can be resumed; if not, it is forgotten.
  bool Leave(SubscriptionId id) ABSL_LOCKS_EXCLUDED(mu_);
  // Its stream has ended after its last message.
  void Remove(SubscriptionId id) ABSL_LOCKS_EXCLUDED(mu_);

  // NOT_FOUND SECONDARY_MMU_NOT_FOUND, also if its domain is gone; `operation`
  // begins the message.
  absl::StatusOr<std::shared_ptr<Domain>> Find(absl::string_view operation,
                                               SubscriptionId id) const
      ABSL_LOCKS_EXCLUDED(mu_);
  // The domains that have subscriptions, by id.
  std::vector<std::shared_ptr<Domain>> Domains() const ABSL_LOCKS_EXCLUDED(mu_);

  // Fences a subscription for an operator.  NOT_FOUND SECONDARY_MMU_NOT_FOUND,
  // also if it has left or was fenced before.
  absl::Status Fence(absl::string_view operation, SubscriptionId id)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Fences all, since the daemon ends.
  void FenceAll() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Entry {
    std::weak_ptr<Domain> domain;
    const Domain* key;  // only compared
    bool attached = true;
    bool ended = false;  // in ended_
  };
  using Entries = absl::btree_map<SubscriptionId, Entry>;

  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until a lease may have ended; none when the registry stops.
  std::vector<std::shared_ptr<Domain>> AwaitDue() ABSL_LOCKS_EXCLUDED(mu_);
  // Fences those whose lease has ended, and waits for the next end.
  void Expire(const std::shared_ptr<Domain>& domain) ABSL_LOCKS_EXCLUDED(mu_);
  // Looks again at a domain at `due`, unless it does so earlier.
  void Arm(const std::shared_ptr<Domain>& domain, Clock::Time due)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Notes which subscriptions without a stream have been fenced.
  void NoteEnded(const std::shared_ptr<Domain>& domain)
      ABSL_LOCKS_EXCLUDED(mu_);
  void ReachFence(Domain& domain);
  bool MustLook() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopping_ || timers_.NextDue() < sleeping_until_;
  }

  Clock* const clock_;
  FaultInjector& faults_;

  mutable absl::Mutex mu_;
  Entries entries_ ABSL_GUARDED_BY(mu_);
  // Of fenced subscriptions without a stream, the oldest first.
  std::deque<SubscriptionId> ended_ ABSL_GUARDED_BY(mu_);
  TimerQueue<const Domain*, std::weak_ptr<Domain>> timers_ ABSL_GUARDED_BY(mu_);
  Clock::Time sleeping_until_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;

  std::thread thread_;  // constant after construction
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_MMU_REGISTRY_H_
