// What the domains of one machine share about their secondary MMUs.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_DOMAIN_SMMU_MACHINE_MMUS_H_
#define SIMVISOR_DOMAIN_SMMU_MACHINE_MMUS_H_

#include "base/allocation_faults.h"
#include "domain/smmu/mmu_quota.h"
#include "domain/units/change_waiter.h"

namespace simvisor {

struct MachineMmus {
  // `faults` may be null; null `its_waiter`: BlockingWaiter().
  explicit MachineMmus(AllocationFaults* faults = nullptr,
                       ChangeWaiter* its_waiter = nullptr)
      : quota(faults),
        waiter(its_waiter == nullptr ? BlockingWaiter() : *its_waiter) {}

  MmuQuota quota;
  // Waits for operations that name no other.
  ChangeWaiter& waiter;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_MACHINE_MMUS_H_
