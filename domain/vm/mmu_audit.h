// Checks what secondary MMUs have mapped against a domain's words, frames and
// dirty log.
//
// Invariants:
//  (1) A recorded mapping names the frame that the pfn's word names, RAM or
//      foreign.
//  (2) While the dirty log is on, a page that is mapped writable is dirty, or
//      is being cleaned.
//  (3) Claims that have their turn do not conflict.
//  (4) A suspended guest's range is open, and nothing of it is mapped.
// SecondaryMmus and PfnClaims check themselves.
//
// Thread safety: the caller holds the domain's lock.

#ifndef SIMVISOR_DOMAIN_VM_MMU_AUDIT_H_
#define SIMVISOR_DOMAIN_VM_MMU_AUDIT_H_

#include "domain/collections/extent_set.h"
#include "domain/units/findings.h"
#include "domain/vm/mmu_state.h"
#include "domain/vm/parts.h"

namespace simvisor {

class MmuAudit {
 public:
  // All must outlive it; a null `state` has nothing to check.
  MmuAudit(const MmuState* state, const Parts& on, Findings& findings)
      : state_(state), on_(on), findings_(findings) {}

  void Check() const;

 private:
  // `granted`: what grants have noted for the dirty log.
  void CheckRun(const MappingRun& run, const PfnSet& granted) const;
  void CheckDirty(const MappingRun& run, const PfnSet& granted) const;

  const MmuState* const state_;
  const Parts& on_;
  Findings& findings_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_MMU_AUDIT_H_
