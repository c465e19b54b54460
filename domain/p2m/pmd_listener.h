// Who is told when PMD entries of the p2m area change.
//
// A mid that gets PTE pages of its own changes its PMD entries from one present
// page to another.  Page tables that hold copies of these entries must follow
// before the first word is stored through them: a fault would mend an absent
// entry only (vmalloc_fault() in arch/x86/mm/fault.c), so a store through an
// old copy would hit the shared page.
//
// Thread safety: as the list that calls it: calls are serialised.

#ifndef SIMVISOR_DOMAIN_P2M_PMD_LISTENER_H_
#define SIMVISOR_DOMAIN_P2M_PMD_LISTENER_H_

#include <cstdint>

#include "absl/types/span.h"
#include "domain/units/units.h"

namespace simvisor {

class PmdListener {
 public:
  virtual ~PmdListener() = default;

  // Entries first_entry, first_entry + 1, ... of the area name `pte_pages` from
  // now on.  The list's generation is odd and no word has changed yet.
  virtual void PmdsReplaced(uint64_t first_entry,
                            absl::Span<const Pfn> pte_pages) = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_PMD_LISTENER_H_
