// The pages of a guest that nothing in it uses.
//
// Balloon and kernel take from opposite ends: pages for the kernel's own
// structure come from the lowest free pfns, the balloon takes the highest, so
// that whole leaves of the p2m list go and come at once.  (A real kernel takes
// whatever its allocator has.)
//
// An operation that cannot give up half-way settles all its pages first: while
// a Settled object lives, as many pages as it stands for can be taken without
// fail.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_GUEST_FREE_PAGES_H_
#define SIMVISOR_DOMAIN_GUEST_FREE_PAGES_H_

#include <vector>

#include "base/allocation_faults.h"
#include "domain/collections/extent_set.h"
#include "domain/p2m/page_source.h"
#include "domain/units/units.h"

namespace simvisor {

// Every kernel keeps the first MiB: firmware tables and start-up code.
inline constexpr PageCount kKernelLowPages{256};

class FreePages : public PageSource {
 public:
  // `faults`, if not null, is asked for each page and outlives this.
  explicit FreePages(AllocationFaults* faults = nullptr) : faults_(faults) {}

  // Pages that can be taken without fail; what is left of them is given up with
  // the object.  REQUIRES: one at a time.
  class Settled {
   public:
    // Settles `count` pages, which need not be free yet, or fewer if one cannot
    // be had.
    Settled(FreePages& pages, PageCount count);
    ~Settled();
    Settled(const Settled&) = delete;
    Settled& operator=(const Settled&) = delete;

    // Pages that were settled, whether they have been taken since or not.
    PageCount count() const { return count_; }

   private:
    FreePages& pages_;
    PageCount count_;
  };

  PfnExtent Take(PageCount count) override;
  void Return(PfnExtent pages) override { free_.Add(pages); }

  // Up to `count` pages for the balloon; empty if none can be had.
  PfnExtent TakeForBalloon(PageCount count);
  // Takes certain pages, whether all of them are free or not.
  void Remove(PfnExtent pages) { free_.Remove(pages); }
  // The same, and returns those that were free, in ascending order.
  std::vector<PfnExtent> RemoveWithin(PfnExtent pages);

  PageCount count() const { return free_.size(); }
  const PfnSet& set() const { return free_; }

 private:
  // How many of `count` pages may be taken in one go, if there are as many.
  PageCount Granted(PageCount count);
  // Counts pages that were taken against those that were settled.
  PfnExtent Taken(PfnExtent pages);

  AllocationFaults* const faults_;
  PfnSet free_;
  PageCount settled_;  // with faults_ alone
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_FREE_PAGES_H_
