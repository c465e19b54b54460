// Pages on their way out of a guest: taken off its free list, and still RAM.
//
// Guest::PlanDown() takes them, Guest::CommitDown() moves them, and
// Guest::AbandonDown() makes them free again.  They stay in the order in which
// the guest's allocator gave them, each extent from its upper end down.
//
// Thread safety: a plain value.

#ifndef SIMVISOR_DOMAIN_GUEST_DOWN_PLAN_H_
#define SIMVISOR_DOMAIN_GUEST_DOWN_PLAN_H_

#include <cstddef>
#include <vector>

#include "domain/collections/extent_set.h"
#include "domain/units/units.h"

namespace simvisor {

class DownPlan {
 public:
  DownPlan() = default;
  // Plans are never copied: that would give pages back twice.
  DownPlan(DownPlan&&) = default;
  DownPlan& operator=(DownPlan&&) = default;

  void Add(PfnExtent pfns);

  bool empty() const { return count_ == PageCount(0); }
  PageCount count() const { return count_; }
  PfnSet Set() const;

  // Takes the first extent.
  // REQUIRES: not empty.
  PfnExtent TakeFirst();
  // Puts what is left of an extent back in its place.
  void PutBack(PfnExtent pfns);

  // Splits off the first pages: at most `most_extents` extents and `most_pages`
  // pages, and if more follow, whole batches of `batch` pages.
  // REQUIRES: batch <= most_pages, most_extents.
  DownPlan TakeRound(size_t most_extents, PageCount most_pages,
                     PageCount batch);

 private:
  std::vector<PfnExtent> extents_;  // those before next_ are taken
  size_t next_ = 0;
  PageCount count_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_DOWN_PLAN_H_
