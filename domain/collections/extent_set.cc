#include "domain/collections/extent_set.h"

#include <algorithm>
#include <iterator>

namespace simvisor {

template <typename Number>
void ExtentSet<Number>::Add(Extent<Number> extent) {
  if (extent.empty()) return;
  Remove(extent);
  Number first = extent.first;
  Number end = extent.end();
  size_ += extent.count;
  auto next = extents_.lower_bound(first);
  if (next != extents_.begin()) {
    auto before = std::prev(next);
    if (before->second == first) {
      first = before->first;
      next = extents_.erase(before);
    }
  }
  if (next != extents_.end() && next->first == end) {
    end = next->second;
    extents_.erase(next);
  }
  extents_[first] = end;
}

template <typename Number>
void ExtentSet<Number>::Remove(Extent<Number> extent) {
  if (extent.empty()) return;
  while (true) {
    auto at = extents_.upper_bound(extent.first);
    if (at != extents_.begin() && std::prev(at)->second > extent.first) --at;
    if (at == extents_.end() || at->first >= extent.end()) return;
    const auto [first, end] = *at;
    extents_.erase(at);
    size_ -= std::min(end, extent.end()) - std::max(first, extent.first);
    if (first < extent.first) extents_[first] = extent.first;
    if (end > extent.end()) extents_[extent.end()] = end;
  }
}

template <typename Number>
void ExtentSet<Number>::Clear() {
  extents_.clear();
  size_ = PageCount(0);
}

template <typename Number>
bool ExtentSet<Number>::Contains(Number number) const {
  auto at = extents_.upper_bound(number);
  return at != extents_.begin() && std::prev(at)->second > number;
}

template <typename Number>
PageCount ExtentSet<Number>::CountIn(Extent<Number> extent) const {
  PageCount count;
  auto at = extents_.upper_bound(extent.first);
  if (at != extents_.begin()) --at;
  for (; at != extents_.end() && at->first < extent.end(); ++at) {
    count += ExtentBetween(std::max(at->first, extent.first),
                           std::min(at->second, extent.end()))
                 .count;
  }
  return count;
}

template <typename Number>
Extent<Number> ExtentSet<Number>::TakeLowest(PageCount limit) {
  if (extents_.empty()) return {};
  const auto [first, end] = *extents_.begin();
  const Extent<Number> taken = {first, std::min(limit, end - first)};
  Remove(taken);
  return taken;
}

template <typename Number>
Extent<Number> ExtentSet<Number>::TakeHighest(PageCount limit) {
  if (extents_.empty()) return {};
  const auto [first, end] = *extents_.rbegin();
  const PageCount count = std::min(limit, end - first);
  const Extent<Number> taken = {end - count, count};
  Remove(taken);
  return taken;
}

template class ExtentSet<Pfn>;
template class ExtentSet<Mfn>;

}  // namespace simvisor
