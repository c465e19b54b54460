// The balloon of a domain's guest, and how much memory the domain is to have.
//
// Thread safety: any thread; see Domain.

#ifndef SIMVISOR_DOMAIN_VM_DOMAIN_BALLOON_H_
#define SIMVISOR_DOMAIN_VM_DOMAIN_BALLOON_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domain/balloon/balloon.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"
#include "domain/vm/domain_types.h"

namespace simvisor {

class Domain;

class DomainBalloon {
 public:
  explicit DomainBalloon(Domain& domain) : domain_(domain) {}

  // If `after` is not null, a change writes to it what memory the domain has
  // when the change ends, also after a failure, but not if the domain's state
  // refuses the change.

  // Move `pages` pages out of the guest or into it, or with `allow_partial` as
  // many of them as possible, and return how many; the target follows.  When
  // `stop` ends the call, pages that have moved stay moved.
  //
  // FAILED_PRECONDITION DOMAIN_NOT_RUNNING; INVALID_ARGUMENT RANGE_INVALID for
  // 0 pages, MEMORY_SIZE_INVALID if dom0 would have less than kMinDom0Memory,
  // where a partial move stops; RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED
  // (down), PFN_NOT_BALLOONABLE, MAX_MEM_EXCEEDED, HOST_MEMORY_EXHAUSTED (up).
  // Source: decrease_reservation(), increase_reservation() in
  // drivers/xen/balloon.c.
  absl::StatusOr<PageCount> Down(const Operation& operation, PageCount pages,
                                 bool allow_partial,
                                 DomainMemory* after = nullptr) const;
  absl::StatusOr<PageCount> Up(const Operation& operation, PageCount pages,
                               bool allow_partial,
                               DomainMemory* after = nullptr) const;

  // Sets the hypervisor's limit to `target` + 1 MiB, then the target, then lets
  // the driver of a running guest, if the target wakes it, move as far as it
  // can; a short move is not an error.  When `stop` ends the call, the target
  // stays set.
  // INVALID_ARGUMENT MEMORY_SIZE_INVALID (0; dom0: below kMinDom0Memory),
  // STATIC_MAX_EXCEEDED.
  // Source: libxl_set_memory_target().
  absl::Status SetTarget(const Operation& operation, PageCount target,
                         DomainMemory* after = nullptr) const;
  // Sets static-max, and the hypervisor's limit to `max_memory` + 1 MiB.
  // INVALID_ARGUMENT MAX_MEM_BELOW_TARGET, MEMORY_SIZE_INVALID (2^32 and more,
  // on PAE more than 64 GiB).
  // Source: libxl_domain_setmaxmem().
  absl::Status SetMaximum(const Operation& operation, PageCount max_memory,
                          DomainMemory* after = nullptr) const;

  // When the guest's driver wakes next if no call wakes it; a pause does not
  // stop the timer.
  BalloonTimer timer() const;
  // What happens in the guest without a call, as of one moment.
  struct Timers {
    BalloonTimer balloon;
    bool has_load = false;
  };
  Timers timers() const;
  // Wakes the driver, since `timer` has run out: it works towards its own
  // target.  The driver of a paused guest does so once the guest runs again.  A
  // no-op unless `timer` is the present one.  When `stop` ends it, pages that
  // have moved stay moved.
  // Source: balloon_thread() in drivers/xen/balloon.c.
  absl::Status Wake(const Operation& operation,
                    const BalloonTimer& timer) const;

 private:
  Domain& domain_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_DOMAIN_BALLOON_H_
