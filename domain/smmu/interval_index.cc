#include "domain/smmu/interval_index.h"

#include <algorithm>
#include <iterator>

namespace simvisor {
namespace {

bool ExtentsMeet(PfnExtent a, PfnExtent b) {
  return a.first < b.end() && b.first < a.end();
}

// The first interval that ends after `pfn`.
template <typename Intervals>
auto FirstIntervalFrom(Intervals& intervals, Pfn pfn) {
  const auto after = intervals.upper_bound(pfn);
  if (after == intervals.begin()) return after;
  const auto before = std::prev(after);
  return before->second.pfns.end() > pfn ? before : after;
}

}  // namespace

bool IntervalIndex::Watch(PfnExtent pfns, bool open, IntervalClock& clock) {
  Interval interval = {pfns, clock.value() - 1, ++last_serial_, false};
  if (open) {
    // Whether the open ranges hit it is not known, so it counts as hit.
    interval.deferred = clock.invalidating();
    clock.Invalidate();
    interval.seq = clock.value();
  }
  intervals_.emplace(pfns.first, interval);
  return interval.deferred;
}

IntervalIndex::Unwatched IntervalIndex::Unwatch(PfnExtent pfns,
                                                const IntervalClock& clock,
                                                uint64_t req) {
  const auto at = intervals_.find(pfns.first);
  if (at == intervals_.end() || at->second.pfns != pfns) {
    return Unwatched::kNotFound;
  }
  const bool leaves_later = clock.invalidating() && !at->second.deferred;
  if (leaves_later) leaving_.push_back({pfns, req});
  intervals_.erase(at);
  return leaves_later ? Unwatched::kDeferred : Unwatched::kDone;
}

std::vector<uint64_t> IntervalIndex::Settle() {
  std::vector<uint64_t> left;
  for (const Leaving& leaving : leaving_) left.push_back(leaving.req);
  leaving_.clear();
  for (auto& [first, interval] : intervals_) interval.deferred = false;
  return left;
}

void IntervalIndex::Clear() {
  intervals_.clear();
  leaving_.clear();
}

bool IntervalIndex::Meets(absl::Span<const PfnExtent> pfns) const {
  return std::any_of(pfns.begin(), pfns.end(), [this](PfnExtent extent) {
    for (auto at = FirstIntervalFrom(intervals_, extent.first);
         at != intervals_.end() && at->first < extent.end(); ++at) {
      if (!at->second.deferred) return true;
    }
    return std::any_of(leaving_.begin(), leaving_.end(),
                       [extent](const Leaving& leaving) {
                         return ExtentsMeet(leaving.pfns, extent);
                       });
  });
}

void IntervalIndex::Invalidate(absl::Span<const PfnExtent> pfns,
                               IntervalClock& clock) {
  for (const PfnExtent extent : pfns) {
    for (auto at = FirstIntervalFrom(intervals_, extent.first);
         at != intervals_.end() && at->first < extent.end(); ++at) {
      if (at->second.deferred) continue;
      clock.Invalidate();
      at->second.seq = clock.value();
    }
  }
}

const IntervalIndex::Interval* IntervalIndex::Find(Pfn pfn) const {
  const auto at = FirstIntervalFrom(intervals_, pfn);
  if (at == intervals_.end() || !at->second.pfns.Contains(pfn)) return nullptr;
  return &at->second;
}

bool IntervalIndex::Overlaps(PfnExtent pfns) const {
  const auto at = FirstIntervalFrom(intervals_, pfns.first);
  return at != intervals_.end() && at->first < pfns.end();
}

bool IntervalIndex::Covers(PfnExtent pfns) const {
  Pfn from = pfns.first;
  for (auto at = FirstIntervalFrom(intervals_, from); from < pfns.end(); ++at) {
    if (at == intervals_.end() || at->first > from) return false;
    from = at->second.pfns.end();
  }
  return true;
}

std::vector<PfnExtent> IntervalIndex::Extents() const {
  std::vector<PfnExtent> extents;
  for (const auto& [first, interval] : intervals_) {
    extents.push_back(interval.pfns);
  }
  return extents;
}

}  // namespace simvisor
