// The pfns in a guest's balloon, in the order in which they come back.
//
// Linux puts a ballooned page at the head of its list and takes from the head,
// so the last page in is the first out.  At boot it adds the room to balloon
// page by page, upwards, which makes the highest pfn the first to come back.
// Here a list is a stack of extents that are taken from their upper ends; an
// extent that continues the one below it upwards is joined with it.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_GUEST_BALLOON_LIST_H_
#define SIMVISOR_DOMAIN_GUEST_BALLOON_LIST_H_

#include <vector>

#include "domain/units/units.h"

namespace simvisor {

class BalloonList {
 public:
  // Puts pfns on top, the highest of them uppermost.
  // REQUIRES: none is in the list.
  void Push(PfnExtent pfns);

  // Takes up to `count` pfns that follow each other off the top, the highest
  // first; empty if the list is.
  PfnExtent Pop(PageCount count);

  // Removes pfns from wherever they are; they need not be in the list.
  void Remove(PfnExtent pfns);

  PageCount size() const { return size_; }
  // From the bottom to the top.
  const std::vector<PfnExtent>& extents() const { return stack_; }

 private:
  std::vector<PfnExtent> stack_;
  PageCount size_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_BALLOON_LIST_H_
