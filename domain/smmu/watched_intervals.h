// The intervals that one subscription watches, with the sequence of each.
//
// The sequence of the domain's intervals (`iseq`) is odd while a range that hit
// an interval is open.  An interval that a range hits gets that number as its
// own; an idle one starts one below an even number, so its own is always odd
// and never equal to an idle domain's.  While iseq is odd, intervals are
// neither added nor removed: that happens when the last range ends.
//
// Source: struct mmu_interval_notifier, mn_itree_inv_end() in
// mm/mmu_notifier.c.
//
// Thread safety: thread-compatible; SecondaryMmus serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_SMMU_WATCHED_INTERVALS_H_
#define SIMVISOR_DOMAIN_SMMU_WATCHED_INTERVALS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/types/span.h"
#include "domain/units/units.h"

namespace simvisor {

class WatchedIntervals {
 public:
  struct Interval {
    PfnExtent pfns;
    uint64_t seq = 0;
    bool adding = false;                    // once the last range ends
    std::optional<uint64_t> removing = {};  // likewise; the request's number
  };

  // Adds an interval; `seq` is its own.
  // REQUIRES: MayAdd().
  void Add(PfnExtent pfns, uint64_t seq, bool adding);
  // Whether it is not empty and overlaps no other.
  bool MayAdd(PfnExtent pfns) const;
  // The interval with exactly these pfns that is not being removed; or null.
  Interval* FindExactly(PfnExtent pfns);
  void Erase(PfnExtent pfns);
  // Does what was put off; returns the requests of those that are removed now.
  std::vector<uint64_t> Settle();

  // The interval that `pfn` is in, unless it is being removed; or null.
  const Interval* Find(Pfn pfn) const;
  // Whether an interval that is not being added overlaps one of `pfns`, which
  // are ascending and apart; gives those that do the sequence `seq`, if not 0.
  bool Hit(absl::Span<const PfnExtent> pfns, uint64_t seq);

  size_t size() const { return intervals_.size(); }
  std::vector<PfnExtent> extents() const;

 private:
  absl::btree_map<Pfn, Interval> intervals_;  // by first pfn
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_WATCHED_INTERVALS_H_
