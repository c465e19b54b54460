// The secondary MMUs of a domain: they subscribe here, and their loads and
// stores get to the domain's pages here.  Faults and answers go directly to
// SecondaryMmus, without the domain's lock.
//
// Thread safety: any thread; see Domain.

#ifndef SIMVISOR_DOMAIN_VM_DOMAIN_MMUS_H_
#define SIMVISOR_DOMAIN_VM_DOMAIN_MMUS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "domain/smmu/mmu_types.h"
#include "domain/smmu/secondary_mmus.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"

namespace simvisor {

class ChangeScope;
class Domain;
struct MmuState;

class DomainMmus {
 public:
  explicit DomainMmus(Domain& domain) : domain_(domain) {}

  // Subscribes once no change of the domain is under way; later changes wait
  // meanwhile.  If `stop` ends the call, it leaves no trace.
  // Errors of CheckMmuSpec() and Insert(); RESOURCE_EXHAUSTED
  // SECONDARY_MMUS_EXHAUSTED; FAILED_PRECONDITION DOMAIN_DYING,
  // DOMAIN_SUSPENDED, EPOCH_CHANGED, GUEST_KERNEL_UNKNOWN or DOMAIN_NOT_BOOTED
  // if there is neither a guest nor an image of one.
  // Source: mmu_notifier_register(), mm_take_all_locks().
  absl::StatusOr<SubscriptionId> Register(const Operation& operation,
                                          MmuSpec spec,
                                          SecondaryMmus::Holder holder) const;

  // Null before the first subscription.  Takes no lock.
  std::shared_ptr<SecondaryMmus> Find() const;

  // A load or store of the device through its own mapping.  A store marks
  // nothing dirty: the grant of the mapping did.
  // Errors of SecondaryMmus::CheckAccess(); INVALID_ARGUMENT RANGE_INVALID
  // unless the bytes are in one page; FAILED_PRECONDITION
  // PAGE_IN_USE_BY_KERNEL for stores to pages of the p2m list and to page
  // tables; RESOURCE_EXHAUSTED GUEST_CONTENTS_EXHAUSTED.
  absl::StatusOr<std::string> Load(const Operation& operation,
                                   SubscriptionId id, Pfn pfn, uint64_t offset,
                                   uint64_t size) const;
  absl::Status Store(const Operation& operation, SubscriptionId id, Pfn pfn,
                     uint64_t offset, absl::string_view data) const;

  // Which of `pfns` were accessed through secondary mappings; waits for answers
  // at most for `most`.  Who does not answer counts as young.
  absl::StatusOr<SecondaryMmus::YoungAnswer> SampleAccessed(
      const Operation& operation, PfnExtent pfns, bool clear,
      absl::Duration most) const;

  // Opens a range that changes no word, with a claim that other such ranges
  // share; calls `while_open` once all have answered, without a lock, and
  // closes the range.  The second is mmu_notifier_invalidate_page().
  absl::Status Invalidate(const Operation& operation, PfnExtent pfns,
                          InvalidateReason reason,
                          absl::FunctionRef<void()> while_open) const;
  absl::Status InvalidatePage(const Operation& operation, Pfn pfn) const;

  // Tells all that the daemon ends; they are released when they acknowledge or
  // when their lease ends.
  absl::Status Shutdown(const Operation& operation) const;

  // Zeros before the first subscription.
  MmuTotals Totals() const;

 private:
  // The state of the first subscription, made if there is none yet.
  // REQUIRES: the domain's lock, which a ChangeScope shows.
  MmuState& StateFor(ChangeScope& change) const;

  Domain& domain_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_DOMAIN_MMUS_H_
