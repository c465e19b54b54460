// Pages of a guest whose content follows from the kernel's state, and is
// computed when it is read: its p2m list, the pages through which tools find
// the list, and the page tables of its processes.
//
// Only the kernel writes to them.  GuestMemory reads them through this
// interface; BuiltImage implements it before a guest boots, Guest afterwards.
//
// Thread safety: implementations are thread-compatible; Domain serialises with
// its mutex.

#ifndef SIMVISOR_DOMAIN_GUEST_KERNEL_PAGES_H_
#define SIMVISOR_DOMAIN_GUEST_KERNEL_PAGES_H_

#include "absl/types/span.h"
#include "domain/p2m/structure_pages.h"
#include "domain/units/units.h"

namespace simvisor {

class KernelPages {
 public:
  virtual ~KernelPages() = default;

  // Fills `page` with what kernel page `pfn` holds.  False if the page is
  // stored, not computed; then `page` is as before.
  virtual bool Render(Pfn pfn, absl::Span<char> page) const = 0;
  // The pages that hold the p2m list.
  virtual const StructurePages& list_pages() const = 0;
  // Whether a process has page tables in `pfns`.
  virtual bool HoldsPageTables(PfnExtent pfns) const = 0;
  // The first kernel page from `pfn` on; None() if there is none.
  virtual Pfn NextFrom(Pfn pfn) const = 0;
  // 1 to 4 for a page that Xen takes for a page table; 0 for others.
  virtual int TableLevel(Pfn pfn) const = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_KERNEL_PAGES_H_
