// The pfns in a guest's balloon, in the order in which they come back.
//
// Linux keeps one list and takes from its head.  A page of low memory is put at
// the head, so the last one in is the first out; a page of high memory, which
// only 32-bit guests have, is put at the tail, so that all low memory comes
// back first, and then the high pages in the order in which they went in.  At
// boot the room to balloon is added page by page, upwards: the highest low pfn
// and the lowest high pfn are the first of their zones to come back.
//
// A batch of the driver, pages that the guest's allocator gave one after the
// other, goes in from the last page to the first.  So the low page that was
// allocated first is the first of its batch to come back.
//
// Here low memory is a stack of runs that are taken from their upper ends, and
// high memory a queue of runs that are taken from their lower ends; a run that
// continues the last one upwards is joined with it.  Whole batches that the
// allocator gave downwards without a gap are one run of stripes: the lowest
// stripe comes back first, each from its upper end.
// Source: balloon_append() and balloon_retrieve() in drivers/xen/balloon.c.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_BALLOON_BALLOON_LIST_H_
#define SIMVISOR_DOMAIN_BALLOON_BALLOON_LIST_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "domain/collections/extent_set.h"
#include "domain/collections/state_codec.h"
#include "domain/units/units.h"

namespace simvisor {

class BalloonList {
 public:
  // pfns that lie together, with the pages of each stripe.
  struct Run {
    PfnExtent pfns;
    PageCount stripe = kOneStripe;

    bool striped() const { return stripe < pfns.count; }
  };
  using Runs = std::deque<Run>;
  static constexpr PageCount kOneStripe{~uint64_t{0}};

  // pfns from `high_start` on are high memory.
  explicit BalloonList(Pfn high_start = Pfn::None())
      : high_start_(high_start) {}

  // Appends pfns one by one, upwards.
  // REQUIRES: none of them is in the list.
  void Push(PfnExtent pfns);

  // Appends what the driver took out of the guest in one go, `batch` pages at a
  // time: extents in the order in which the allocator gave them, each from its
  // upper end down.
  // REQUIRES: none of them is in the list; `batch` is the same each time.
  void PushTaken(absl::Span<const PfnExtent> taken, PageCount batch);

  // Takes up to `count` pfns that come back next and lie together; empty if the
  // list is.  In low memory they are part of a stripe or whole stripes, and the
  // next pfn is the upper end of the lowest stripe.  In high memory they begin
  // with the next pfn.
  PfnExtent Pop(PageCount count);

  // What Pop() would return for the next `count` pfns, piece by piece.
  std::vector<PfnExtent> Next(PageCount count) const;

  // Puts back the upper part of what Pop() returned last, to come back next.
  void PutBack(PfnExtent pfns);

  // Removes pfns from wherever they are; they need not be in the list.
  void Remove(PfnExtent pfns);
  // Removes many pfns at once; returns the pfns that were in the list.  Costs
  // one pass over the list's extents.
  PfnSet Remove(const PfnSet& pfns);

  // Whether none of the pfns has a word, and the kernel gives all of them up.
  using MayHold = absl::FunctionRef<bool(PfnExtent)>;
  // Encode() writes what a saved guest notes about its list.  Decode() reads it
  // into an empty list.  It fails `in` unless each pfn is below `end`, in its
  // zone and named once, `may_hold` allows it, and stripes are whole batches.
  // Without `batch`, the notes are of a list that had no stripes, and do not
  // say for each run whether it has stripes.
  void Encode(StateWriter& out) const;
  void Decode(StateReader& in, Pfn end, std::optional<PageCount> batch,
              MayHold may_hold);

  PageCount size() const { return low_count_ + high_count_; }
  PageCount low_count() const { return low_count_; }
  PageCount high_count() const { return high_count_; }

  // Low memory from the bottom to the top, high memory from first to last in.
  const Runs& low_runs() const { return low_; }
  const Runs& high_runs() const { return high_; }

 private:
  // Appends part of a batch, or whole ones that make stripes.
  void PushLow(Run run);

  Pfn high_start_;
  Runs low_;
  Runs high_;
  PageCount low_count_;
  PageCount high_count_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BALLOON_BALLOON_LIST_H_
