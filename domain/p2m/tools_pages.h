// The pages by which tools find the leaves of a p2m list: a tree of frame lists
// (P2mTree) or the page tables that map the list (P2mTables).
//
// They are pages of the guest, noted in the list's shape, and hold nothing but
// what follows from it.
//
// Thread safety: as the list whose shape they show: calls are serialised.

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

  // Makes the pages, or, if they are there, brings them up to date without
  // taking any.  RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED: what was taken
  // stays, and the list is unfit for use.
  virtual absl::Status Publish(PageSource& source) = 0;
  // The page from which the others are found; None() until Publish().
  virtual Pfn root_page() const = 0;
  // What shared info tells tools.  REQUIRES: published.
  virtual ToolsRoot root() const = 0;

  // A6, A8: `mid` is private and about to get private leaves.  Takes the page
  // that this needs, of those that PagesToGrow() says.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED: nothing has changed.
  virtual absl::Status MidGrew(uint64_t mid, PageSource& source) = 0;
  virtual PageCount PagesToGrow(uint64_t mid) const = 0;
  // A9: every frame is another one, which only Publish() makes up for.
  virtual void FramesChanged() = 0;

  // Fills `page` with what a page of that use holds.
  // REQUIRES: the use is one of its own.
  virtual void Render(StructurePages::Use use, absl::Span<char> page) const = 0;
  // 2 to 4 for a page table above the PTE pages; 0 for another page.
  virtual int TableLevel(StructurePages::Use use) const = 0;
  // Adds its pages to those of the list.
  virtual void CountPages(P2mSummary& sum) const = 0;
  // Whether `mid`, which has private leaves or not, has the pages of these that
  // it must have, and no others.  INTERNAL with a finding.
  virtual absl::Status CheckMid(uint64_t mid,
                                bool has_private_leaves) const = 0;

  // Puts a page of a restored list in its place; false if it has no such place,
  // or a page there already.
  virtual bool Adopt(Pfn page, PageRole role, uint64_t index) = 0;
  // Whether all pages are there that a published list has, but for those of
  // single mids.
  virtual bool IsComplete() const = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_TOOLS_PAGES_H_
