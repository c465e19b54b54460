#include "domain/p2m/structure_pages.h"

#include <iterator>

namespace simvisor {

void StructurePages::Add(PfnExtent pages, PageRole role, uint64_t index) {
  size_ += pages.count;
  auto next = entries_.lower_bound(pages.first);
  if (next != entries_.begin()) {
    auto& [first, before] = *std::prev(next);
    if (first + before.count == pages.first && before.use.role == role &&
        before.use.index + before.count.value() == index) {
      before.count += pages.count;
      return;
    }
  }
  entries_[pages.first] = {pages.count, {role, index}};
}

void StructurePages::Remove(PfnExtent pages) {
  auto at = std::prev(entries_.upper_bound(pages.first));
  size_ -= pages.count;
  at->second.count -= pages.count;
  if (at->second.count == PageCount(0)) entries_.erase(at);
}

std::optional<StructurePages::Use> StructurePages::Find(Pfn pfn) const {
  auto at = entries_.upper_bound(pfn);
  if (at == entries_.begin()) return std::nullopt;
  --at;
  const uint64_t offset = (pfn - at->first).value();
  if (offset >= at->second.count.value()) return std::nullopt;
  return Use{at->second.use.role, at->second.use.index + offset};
}

Pfn StructurePages::NextFrom(Pfn pfn) const {
  const auto after = entries_.upper_bound(pfn);
  if (after != entries_.begin()) {
    const auto& [first, entry] = *std::prev(after);
    if (pfn < first + entry.count) return pfn;
  }
  return after == entries_.end() ? Pfn::None() : after->first;
}

bool StructurePages::Intersects(PfnExtent extent) const {
  auto at = entries_.lower_bound(extent.end());
  if (extent.empty() || at == entries_.begin()) return false;
  --at;
  return at->first + at->second.count > extent.first;
}

}  // namespace simvisor
