// The p2m list of a domain, as callers see and change it, and the foreign
// frames in it.
//
// Thread safety: any thread; see Domain.

#ifndef SIMVISOR_DOMAIN_VM_DOMAIN_P2M_H_
#define SIMVISOR_DOMAIN_VM_DOMAIN_P2M_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "domain/guest/guest_types.h"
#include "domain/p2m/m2p.h"
#include "domain/p2m/p2m_summary.h"
#include "domain/units/operation.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"
#include "domain/vm/domain_types.h"

namespace simvisor {

class Domain;

class DomainP2m {
 public:
  explicit DomainP2m(Domain& domain) : domain_(domain) {}

  // Appends the words of `pfns` to `words`, each as the list held it at some
  // moment of the call.  Takes no lock once the guest has booted.  A call that
  // begins when the domain is dying fails; a call that began before may find
  // its last words, which stay as long as the caller's reference to the domain.
  absl::Status Translate(absl::Span<const uint64_t> pfns,
                         std::vector<P2mWord>& words) const;
  // Appends what the guest says about each of `mfns`; locks as Translate()
  // does.
  absl::Status TranslateMfns(absl::Span<const uint64_t> mfns,
                             std::vector<MfnTranslation>& answers) const;

  // Appends runs of [start, end), at most max_runs, and returns the pfn to go
  // on from: the end of the list, or `end`, when done.  `end` past the list
  // stands for its end.  OUT_OF_RANGE PFN_OUT_OF_RANGE if `start` is past the
  // list.
  absl::StatusOr<Pfn> ListRuns(Pfn start, Pfn end, P2mView view, RunMerge merge,
                               size_t max_runs, std::vector<P2mRun>& runs,
                               uint64_t* generation) const;
  absl::StatusOr<P2mReport> Summary() const;
  // Where tools find the list.
  // FAILED_PRECONDITION DOMAIN_NOT_BOOTED until the guest has published it;
  // P2M_TREE_STALE after its frames have changed, until the guest publishes it
  // again.
  absl::StatusOr<MfnListList> FindMfnListList() const;

  // Makes the words of [start, end) identity; end None() is the list's end.
  // Errors: see MemoryService.MarkIdentityRange.
  // Once the change itself has begun, `stop` is not asked any more.
  absl::StatusOr<RangeChange> MarkIdentity(const Operation& operation,
                                           Pfn start, Pfn end,
                                           bool release_ram) const;
  // Sets the words of `pfns`: missing, identity, or RAM from first_mfn on.  If
  // the guest's allocator fails half-way, no word has changed, but pages that
  // the list has taken stay with it and serve the next try (p2m.md A6).
  // REQUIRES: p2m_class is one of these.
  // Errors: see MemoryService.SetP2mRange.
  absl::StatusOr<RangeChange> SetRange(const Operation& operation,
                                       PfnExtent pfns, P2mClass p2m_class,
                                       Mfn first_mfn, RamPolicy policy) const;

  // Maps frames of other domains at missing pfns, slot by slot; a slot that
  // fails is left as it was, except that the list keeps pages that it has
  // taken.
  // Errors of slots and of the call: see MemoryService.MapForeignFrames.  When
  // `stop` ends the call, what is mapped stays mapped, and `report` says so.
  // Source: set_foreign_p2m_mapping() in arch/x86/xen/p2m.c.
  absl::Status MapForeign(const Operation& operation,
                          absl::Span<const ForeignSlot> slots,
                          ForeignReport& report) const;
  // Makes the words of foreign pfns INVALID, slot by slot; *drained as for
  // Domain::Destroy().  For Host::UnmapForeign(), which removes owners that are
  // gone.
  // Source: clear_foreign_p2m_mapping() in arch/x86/xen/p2m.c.
  absl::Status UnmapForeign(const Operation& operation,
                            absl::Span<const uint64_t> pfns,
                            ForeignReport& report,
                            std::vector<DomainId>* drained) const;

 private:
  Domain& domain_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_DOMAIN_P2M_H_
