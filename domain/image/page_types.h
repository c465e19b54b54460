// What an image has said about each pfn so far.
//
// Memory follows the number of stretches of pages with data, of page tables,
// and of pages in all, not the size of the guest.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_IMAGE_PAGE_TYPES_H_
#define SIMVISOR_DOMAIN_IMAGE_PAGE_TYPES_H_

#include <array>
#include <cstddef>

#include "domain/collections/extent_set.h"
#include "domain/image/stream_format.h"
#include "domain/units/units.h"

namespace simvisor {

class PageTypes {
 public:
  // For pfns below `end`; none has been named.
  explicit PageTypes(Pfn end) : end_(end) {}

  Pfn end() const { return end_; }

  // Notes that `pfns` were sent as `type`.
  void Set(PfnExtent pfns, PageType type);

  // Pfns with a frame: one stays when its page is sent as absent later.
  const PfnSet& populated() const { return populated_; }
  // Whether a page was sent as an ordinary one last.
  bool IsNormal(Pfn pfn) const { return normal_.Contains(pfn); }
  // The level of the page table that a page was sent as last; else 0.
  int TableLevelOf(Pfn pfn) const;
  // Pages that were sent as page tables of `level`, 1 to 4, last.
  const PfnSet& tables(int level) const { return tables_[level]; }

  // Stretches that are kept.
  size_t stretches() const;

 private:
  Pfn end_;
  PfnSet populated_;
  PfnSet normal_;
  std::array<PfnSet, 5> tables_;  // by level
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_PAGE_TYPES_H_
