// The intervals that a subscription watches, and the sequence by which faults
// in them are judged.
//
// The domain has one IntervalClock.  It is odd while an invalidation has hit a
// watched interval and any range is open.  Each interval keeps the odd number
// of its last invalidation; while that is the number of the clock, faults in it
// are refused.  An interval that is added while the clock is odd is inserted
// when the last range closes, and one that is removed then leaves only then.
//
// Source: mn_itree_inv_start_range(), mmu_interval_read_begin(),
// __mmu_interval_notifier_insert(), mmu_interval_notifier_remove() and
// mn_itree_inv_end() of mm/mmu_notifier.c.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_SMMU_INTERVAL_INDEX_H_
#define SIMVISOR_DOMAIN_SMMU_INTERVAL_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/types/span.h"
#include "domain/units/units.h"

namespace simvisor {

class IntervalClock {
 public:
  uint64_t value() const { return value_; }
  bool invalidating() const { return value_ % 2 == 1; }
  void Invalidate() { value_ |= 1; }
  // To be called when the last range closes; returns whether edits that were
  // deferred are due.
  bool Settle() {
    if (!invalidating()) return false;
    ++value_;
    return true;
  }

 private:
  uint64_t value_ = 2;
};

class IntervalIndex {
 public:
  struct Interval {
    PfnExtent pfns;
    uint64_t seq;
    uint64_t serial;  // never used again in this index
    bool deferred;    // not inserted yet
  };
  enum class Unwatched { kNotFound, kDone, kDeferred };

  // Adds an interval; returns whether it is deferred.  `open`: a range is.
  // REQUIRES: it is not empty, and Overlaps(pfns) is false.
  bool Watch(PfnExtent pfns, bool open, IntervalClock& clock);
  // Removes the interval `pfns`; if that is deferred, Settle() will return
  // `req`.
  Unwatched Unwatch(PfnExtent pfns, const IntervalClock& clock, uint64_t req);
  // Does what was deferred; returns the requests of removals, in order.
  std::vector<uint64_t> Settle();
  void Clear();

  // Whether a range over `pfns` concerns it: some interval that is inserted, or
  // has not left yet, meets them.
  bool Meets(absl::Span<const PfnExtent> pfns) const;
  // Notes an invalidation in the clock and in each interval that it hits.
  void Invalidate(absl::Span<const PfnExtent> pfns, IntervalClock& clock);

  // The interval that `pfn` is in, deferred or not; null if it is not watched.
  // Valid until the next edit.
  const Interval* Find(Pfn pfn) const;
  bool Overlaps(PfnExtent pfns) const;
  // Whether all of `pfns` is watched.
  bool Covers(PfnExtent pfns) const;
  size_t size() const { return intervals_.size(); }
  // In ascending order.
  std::vector<PfnExtent> Extents() const;

 private:
  struct Leaving {
    PfnExtent pfns;
    uint64_t req;
  };
  using Intervals = absl::btree_map<Pfn, Interval>;

  Intervals intervals_;  // by first pfn; they do not overlap
  std::vector<Leaving> leaving_;
  uint64_t last_serial_ = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_INTERVAL_INDEX_H_
