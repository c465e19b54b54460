// The pfns in a guest's balloon, in the order in which they come back.
//
// Linux keeps one list and takes from its head.  A page of low memory is put at
// the head, so the last one in is the first out; a page of high memory, which
// only 32-bit guests have, is put at the tail, so that all low memory comes
// back first, and then the high pages in the order in which they went in.  At
// boot the room to balloon is added page by page, upwards: the highest low pfn
// and the lowest high pfn are the first of their zones to come back.
//
// Here low memory is a stack of extents that are taken from their upper ends,
// and high memory a queue of extents that are taken from their lower ends; an
// extent that continues the last one upwards is joined with it.
// Source: balloon_append() and balloon_retrieve() in drivers/xen/balloon.c.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_GUEST_BALLOON_LIST_H_
#define SIMVISOR_DOMAIN_GUEST_BALLOON_LIST_H_

#include <deque>
#include <vector>

#include "absl/functional/function_ref.h"
#include "domain/units/extent_set.h"
#include "domain/units/state_codec.h"
#include "domain/units/units.h"

namespace simvisor {

class BalloonList {
 public:
  using Extents = std::deque<PfnExtent>;

  // pfns from `high_start` on are high memory.
  explicit BalloonList(Pfn high_start = Pfn::None())
      : high_start_(high_start) {}

  // Appends pfns one by one, upwards.  REQUIRES: none is in the list.
  void Push(PfnExtent pfns);

  // Takes up to `count` pfns that come back next and follow each other: those
  // of low memory end with the next one, those of high memory begin with it.
  // Empty if the list is.
  PfnExtent Pop(PageCount count);

  // What Pop() would give for the next `count` pfns, piece by piece.
  std::vector<PfnExtent> Next(PageCount count) const;

  // Puts back the upper part of what Pop() gave last, to come back next.
  void PutBack(PfnExtent pfns);

  // Removes pfns from wherever they are; they need not be in the list.
  void Remove(PfnExtent pfns);
  // The same for many at once; returns those that were in the list.  Costs one
  // pass over the list's extents.
  PfnSet Remove(const PfnSet& pfns);

  // Whether none of the pfns has a word.
  using MayHold = absl::FunctionRef<bool(PfnExtent)>;
  // What a saved guest notes of its list, and an empty list made of it.  Fails
  // `in` unless the pfns are below `end`, in their zone, each comes once, and
  // `may_hold` agrees.
  void Encode(StateWriter& out) const;
  void Decode(StateReader& in, Pfn end, MayHold may_hold);

  PageCount size() const { return low_count_ + high_count_; }
  PageCount low_count() const { return low_count_; }
  PageCount high_count() const { return high_count_; }

  // Low memory from the bottom to the top, high memory from first to last in.
  const Extents& low_extents() const { return low_; }
  const Extents& high_extents() const { return high_; }

 private:
  Pfn high_start_;
  Extents low_;
  Extents high_;
  PageCount low_count_;
  PageCount high_count_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_BALLOON_LIST_H_
