// The pages through which tools find the leaves of a p2m list: a tree of frame
// lists (P2mTree), or the page tables that map the list (P2mTables).
//
// They are pages of the guest, noted in the list's shape.  Their content
// follows from the shape.
//
// Thread safety: thread-compatible; callers of the list serialise.

#ifndef SIMVISOR_DOMAIN_P2M_TOOLS_PAGES_H_
#define SIMVISOR_DOMAIN_P2M_TOOLS_PAGES_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "domain/p2m/p2m_options.h"
#include "domain/p2m/p2m_summary.h"
#include "domain/p2m/page_source.h"
#include "domain/p2m/structure_pages.h"
#include "domain/units/units.h"

namespace simvisor {

class ToolsPages {
 public:
  virtual ~ToolsPages() = default;

  virtual ToolsView view() const = 0;

  // Makes the pages.  If they exist, updates them without taking a page.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED: pages taken so far stay, and the
  // list must be discarded.
  virtual absl::Status Publish(PageSource& source) = 0;
  // The page at the root; None() until Publish().
  virtual Pfn root_page() const = 0;
  // What shared info tells tools.  REQUIRES: published.
  virtual ToolsRoot root() const = 0;

  // p2m.md A6, A8: `mid` is private and about to get private leaves.  Takes the
  // page that this needs, if it needs one; PagesToGrow() tells.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED: nothing has changed.
  virtual absl::Status MidGrew(uint64_t mid, PageSource& source) = 0;
  virtual PageCount PagesToGrow(uint64_t mid) const = 0;
  // p2m.md A9: all frames have changed; the pages are wrong until Publish().
  virtual void FramesChanged() = 0;

  // Fills `page` with the content of a page of this use.
  // REQUIRES: the use is one of these pages.
  virtual void Render(StructurePages::Use use, absl::Span<char> page) const = 0;
  // 2 to 4 for a page table above the PTE pages; 0 for any other page.
  virtual int TableLevel(StructurePages::Use use) const = 0;
  // Adds these pages to the counts of the list.
  virtual void CountPages(P2mSummary& sum) const = 0;
  // Checks that `mid` has the pages that it must have, and no others;
  // `has_private_leaves` tells whether it has private leaves.  INTERNAL with a
  // finding.
  virtual absl::Status CheckMid(uint64_t mid,
                                bool has_private_leaves) const = 0;

  // Puts a page of a restored list in its place.  False if these pages have no
  // such place, or if the place is taken.
  virtual bool Adopt(Pfn page, PageRole role, uint64_t index) = 0;
  // Whether all pages exist that a published list has, apart from the pages of
  // single mids.
  virtual bool IsComplete() const = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_TOOLS_PAGES_H_
