// The pages of a guest that nothing in it uses.
//
// Balloon and kernel take from opposite ends: pages for the kernel's own
// structure come from the lowest free pfns, the balloon takes the highest, so
// that whole leaves of the p2m list go and come at once.  (A real kernel takes
// whatever its allocator has.)
//
// Thread safety: thread-compatible; Domain serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_GUEST_FREE_PAGES_H_
#define SIMVISOR_DOMAIN_GUEST_FREE_PAGES_H_

#include "domain/p2m/page_source.h"
#include "domain/units/extent_set.h"
#include "domain/units/units.h"

namespace simvisor {

// Every kernel keeps the first MiB: firmware tables and start-up code.
inline constexpr PageCount kKernelLowPages{256};

class FreePages : public PageSource {
 public:
  PfnExtent Take(PageCount count) override { return free_.TakeLowest(count); }
  void Return(PfnExtent pages) override { free_.Add(pages); }

  // Up to `count` pages for the balloon; empty if none is free.
  PfnExtent TakeForBalloon(PageCount count) { return free_.TakeHighest(count); }
  // Takes certain pages, whether all of them are free or not.
  void Remove(PfnExtent pages) { free_.Remove(pages); }

  PageCount count() const { return free_.size(); }
  const PfnSet& set() const { return free_; }

 private:
  PfnSet free_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_FREE_PAGES_H_
