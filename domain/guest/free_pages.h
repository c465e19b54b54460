// The pages of a guest that nothing in it uses.
//
// Balloon and kernel take from opposite ends: the kernel takes the lowest free
// pfns for its own structures, the balloon the highest, so that whole leaves of
// the p2m list go and come at once.  (A real kernel takes what its allocator
// returns.)
//
// Every page that is taken may be refused by a simulated fault.  An operation
// that cannot give up half-way settles all its pages first: while the Settled
// object lives, that many pages are not refused.
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
  // `faults`, if not null, is asked for each page, and must outlive this
  // object.
  explicit FreePages(AllocationFaults* faults = nullptr) : faults_(faults) {}

  // A number of pages that will not be refused.  The destructor gives up the
  // rest of them.
  // REQUIRES: a FreePages object has at most one of these at a time.
  class Settled {
   public:
    // Settles `count` pages, which need not be free yet, or fewer if one is
    // refused.
    Settled(FreePages& pages, PageCount count);
    ~Settled();
    Settled(const Settled&) = delete;
    Settled& operator=(const Settled&) = delete;

    // Pages that were settled, including those taken since.
    PageCount count() const { return count_; }

   private:
    FreePages& pages_;
    PageCount count_;
  };

  PfnExtent Take(PageCount count) override;
  void Return(PfnExtent pages) override { free_.Add(pages); }

  // Takes up to `count` adjacent pages for the balloon; empty if it gets none.
  PfnExtent TakeForBalloon(PageCount count);
  // Takes these pages; not all of them need be free.
  void Remove(PfnExtent pages) { free_.Remove(pages); }
  // Like Remove(), and returns the pages that were free, in ascending order.
  std::vector<PfnExtent> RemoveWithin(PfnExtent pages);

  PageCount count() const { return free_.size(); }
  const PfnSet& set() const { return free_; }

 private:
  // How many of `count` pages may be taken in one go, if that many are free.
  PageCount Granted(PageCount count);
  // Counts `pages`, which were taken, against the settled ones; returns
  // `pages`.
  PfnExtent Taken(PfnExtent pages);

  AllocationFaults* const faults_;
  PfnSet free_;
  PageCount settled_;  // not taken yet; 0 without faults_
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_FREE_PAGES_H_
