// The type of each pfn, according to the part of an image that was read so far.
//
// Memory grows with the number of extents of pages with data, of page tables
// and of populated pages, not with the size of the guest.
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
  // For pfns below `end`; initially none has been named.
  explicit PageTypes(Pfn end) : end_(end) {}

  Pfn end() const { return end_; }

  // Records that `pfns` were sent as `type`.
  void Set(PfnExtent pfns, PageType type);

  // Pfns with a frame; a pfn keeps it even if its page is later sent as absent.
  const PfnSet& populated() const { return populated_; }
  // Whether the page was last sent as an ordinary one.
  bool IsNormal(Pfn pfn) const { return normal_.Contains(pfn); }
  // The level of the page table that the page was last sent as; 0 if it was not
  // a page table.
  int TableLevelOf(Pfn pfn) const;
  // Pages last sent as page tables of `level`, 1 to 4.
  const PfnSet& tables(int level) const { return tables_[level]; }

  // How many extents the sets hold.
  size_t stretches() const;

 private:
  Pfn end_;
  PfnSet populated_;
  PfnSet normal_;
  std::array<PfnSet, 5> tables_;  // by level
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_PAGE_TYPES_H_
