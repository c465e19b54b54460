#include "domain/smmu/watched_intervals.h"

#include <cassert>
#include <iterator>

namespace simvisor {

bool WatchedIntervals::MayAdd(PfnExtent pfns) const {
  if (pfns.empty()) return false;
  auto at = intervals_.lower_bound(pfns.first);
  if (at != intervals_.end() && at->first < pfns.end()) return false;
  if (at == intervals_.begin()) return true;
  --at;
  return at->second.pfns.end() <= pfns.first;
}

void WatchedIntervals::Add(PfnExtent pfns, uint64_t seq, bool adding) {
  assert(MayAdd(pfns));
  intervals_.emplace(pfns.first,
                     Interval{.pfns = pfns, .seq = seq, .adding = adding});
}

WatchedIntervals::Interval* WatchedIntervals::FindExactly(PfnExtent pfns) {
  const auto at = intervals_.find(pfns.first);
  if (at == intervals_.end() || at->second.pfns != pfns ||
      at->second.removing.has_value()) {
    return nullptr;
  }
  return &at->second;
}

void WatchedIntervals::Erase(PfnExtent pfns) { intervals_.erase(pfns.first); }

std::vector<uint64_t> WatchedIntervals::Settle() {
  std::vector<uint64_t> removed;
  for (auto at = intervals_.begin(); at != intervals_.end();) {
    at->second.adding = false;
    if (!at->second.removing.has_value()) {
      ++at;
      continue;
    }
    removed.push_back(*at->second.removing);
    at = intervals_.erase(at);
  }
  return removed;
}

const WatchedIntervals::Interval* WatchedIntervals::Find(Pfn pfn) const {
  auto at = intervals_.upper_bound(pfn);
  if (at == intervals_.begin()) return nullptr;
  --at;
  if (!at->second.pfns.Contains(pfn) || at->second.removing.has_value()) {
    return nullptr;
  }
  return &at->second;
}

bool WatchedIntervals::Hit(absl::Span<const PfnExtent> pfns, uint64_t seq) {
  bool hit = false;
  for (const PfnExtent& extent : pfns) {
    auto at = intervals_.upper_bound(extent.first);
    if (at != intervals_.begin()) --at;
    for (; at != intervals_.end() && at->first < extent.end(); ++at) {
      Interval& interval = at->second;
      if (interval.pfns.end() <= extent.first || interval.adding) continue;
      hit = true;
      if (seq == 0) return true;
      interval.seq = seq;
    }
  }
  return hit;
}

std::vector<PfnExtent> WatchedIntervals::extents() const {
  std::vector<PfnExtent> extents;
  for (const auto& [first, interval] : intervals_) {
    extents.push_back(interval.pfns);
  }
  return extents;
}

}  // namespace simvisor
