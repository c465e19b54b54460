// Where a p2m list takes the pages for its own structure from.
//
// On a real guest that is its early and later page allocator; every page handed
// out is an ordinary page of the guest, with a pfn and a RAM word of its own.
//
// Thread safety: as the list that uses it: calls are serialised.

#ifndef SIMVISOR_DOMAIN_P2M_PAGE_SOURCE_H_
#define SIMVISOR_DOMAIN_P2M_PAGE_SOURCE_H_

#include "domain/units/units.h"

namespace simvisor {

class PageSource {
 public:
  virtual ~PageSource() = default;

  // Takes up to `count` pages with consecutive pfns.  Fewer come where the free
  // pages are not contiguous; an empty extent means that none is left.
  // REQUIRES: count is not 0.
  virtual PfnExtent Take(PageCount count) = 0;

  // Gives back pages that Take() handed out.
  virtual void Return(PfnExtent pages) = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_PAGE_SOURCE_H_
