// What the holder of a subscription and its domain implement for
// SecondaryMmus.

#ifndef SIMVISOR_DOMAIN_SMMU_SECONDARY_MMU_H_
#define SIMVISOR_DOMAIN_SMMU_SECONDARY_MMU_H_

#include "domain/collections/extent_set.h"
#include "domain/smmu/mmu_messages.h"
#include "domain/smmu/mmu_types.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor {

// Wakes the holder of a subscription that takes its messages from a queue.
class MmuSignal {
 public:
  virtual ~MmuSignal() = default;
  // Called after messages were queued, from any thread, maybe once for many
  // messages and maybe without any.  The notifier lock is not held, but the
  // domain's lock may be, so it must neither wait nor call back into a domain.
  virtual void MessagesWait() = 0;
};

// A secondary MMU in the same process.  Each call must return: there is no
// lease.  What it has mapped in the extents is gone when Begin() or Page()
// returns.  Mappings are granted by messages in its queue all the same, so a
// call takes these first: one that was granted before the begin may still wait
// there.  Calls come on the threads of changes, without any lock held; it may
// look up and fault, but neither change nor unregister (Retire() may be
// called).
// Source: struct mmu_notifier_ops.
class SecondaryMmu {
 public:
  virtual ~SecondaryMmu() = default;
  virtual void Begin(const mmu::RangeBegin& range) = 0;
  virtual void Page(const mmu::PageInvalidate& page) = 0;
  // Ends and aborts of ranges.
  virtual void End(RangeId, uint64_t /*seq*/, bool /*aborted*/) {}
  // Which of these pages were accessed since the last call with `clear`.
  virtual PfnSet Young(PfnExtent pfns, bool clear) = 0;
  virtual void Release(const mmu::Release& release) = 0;
};

// What SecondaryMmus asks about the domain's words; called with the notifier
// lock held, from any thread, without the domain's lock.
class PfnResolver {
 public:
  virtual ~PfnResolver() = default;
  // The word of any pfn; kMissing until the guest has booted.
  virtual P2mWord Lookup(Pfn pfn) const = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_SECONDARY_MMU_H_
