// Callback for changes of PMD entries of the p2m area.
//
// When a mid gets PTE pages of its own, its PMD entries change from one present
// page to another.  Page tables with copies of these entries must be updated
// before the first word is stored through them: a fault repairs only absent
// entries (vmalloc_fault() in arch/x86/mm/fault.c), so a store through an old
// copy would hit the shared page.
//
// Thread safety: thread-compatible; callers of the list serialise.

#ifndef SIMVISOR_DOMAIN_P2M_PMD_LISTENER_H_
#define SIMVISOR_DOMAIN_P2M_PMD_LISTENER_H_

#include <cstdint>

#include "absl/types/span.h"
#include "domain/units/units.h"

namespace simvisor {

class PmdListener {
 public:
  virtual ~PmdListener() = default;

  // Entries first_entry, first_entry + 1, ... of the area now name `pte_pages`.
  // The list's generation is odd, and no word has changed yet.
  virtual void PmdsReplaced(uint64_t first_entry,
                            absl::Span<const Pfn> pte_pages) = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_PMD_LISTENER_H_
