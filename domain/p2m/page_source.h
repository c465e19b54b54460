// The source of pages for the structure of a p2m list.
//
// On a real guest this is the early or the normal page allocator.  Each page is
// an ordinary page of the guest, with a pfn and a RAM word of its own.
//
// Thread safety: thread-compatible; callers of the list serialise.

#ifndef SIMVISOR_DOMAIN_P2M_PAGE_SOURCE_H_
#define SIMVISOR_DOMAIN_P2M_PAGE_SOURCE_H_

#include "domain/units/units.h"

namespace simvisor {

class PageSource {
 public:
  virtual ~PageSource() = default;

  // Takes up to `count` pages with consecutive pfns: fewer if the free pages
  // are not contiguous, and an empty extent if no page is left.
  // REQUIRES: count is not 0.
  virtual PfnExtent Take(PageCount count) = 0;

  // Gives back pages from Take().
  virtual void Return(PfnExtent pages) = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_PAGE_SOURCE_H_
