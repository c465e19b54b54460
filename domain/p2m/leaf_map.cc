#include "domain/p2m/leaf_map.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace simvisor {

const LeafMap::Mid LeafMap::kSharedMissing;
const LeafMap::Mid LeafMap::kSharedIdentity(Backing::kIdentity);

void LeafMap::ShareRest(uint64_t first) {
  const uint64_t group_end = (first / kGroupSize + 1) * kGroupSize;
  const uint64_t end = std::min(mids_, group_end);
  if (first < end && groups_[first / kGroupSize] != nullptr) {
    for (uint64_t mid = first; mid < end; ++mid) {
      Make(mid).backing = Backing::kIdentity;
    }
  }
  identity_from_ = first;
}

void LeafMap::MakeGroup(uint64_t number) {
  const uint64_t first = number * kGroupSize;
  const uint64_t size = std::min(kGroupSize, mids_ - first);
  auto group = std::make_unique<Mid[]>(size);
  for (uint64_t i = 0; i < size; ++i) group[i].backing = At(first + i).backing;
  groups_[number] = std::move(group);
}

void LeafMap::MakePrivate(uint64_t mid, const std::array<Pfn, 2>& pte_pages) {
  Mid& made = Make(mid);
  made.backing = Backing::kPrivate;
  made.pte_pages = pte_pages;
}

Pfn LeafMap::LeafPage(uint64_t leaf) const {
  const Mid& mid = At(leaf / LeavesPerMid());
  const uint64_t i = leaf % LeavesPerMid();
  if (!mid.leaf_run.is_none()) return mid.leaf_run + PageCount(i);
  return mid.leaf_pages ? mid.leaf_pages[i] : Pfn::None();
}

void LeafMap::SetLeafPages(uint64_t first_leaf, PfnExtent pages) {
  assert(first_leaf % LeavesPerMid() + pages.count.value() <= LeavesPerMid());
  Mid& mid = Make(first_leaf / LeavesPerMid());
  if (pages.count.value() == LeavesPerMid()) {
    mid.leaf_run = pages.first;
    return;
  }
  if (!mid.leaf_pages) {
    mid.leaf_pages = std::make_unique<Pfn[]>(LeavesPerMid());
    std::fill_n(mid.leaf_pages.get(), LeavesPerMid(), Pfn::None());
  }
  for (uint64_t i = 0; i < pages.count.value(); ++i) {
    mid.leaf_pages[first_leaf % LeavesPerMid() + i] =
        pages.first + PageCount(i);
  }
}

uint64_t LeafMap::SimilarLeaves(uint64_t leaf) const {
  const Mid& mid = At(leaf / LeavesPerMid());
  const uint64_t first = leaf % LeavesPerMid();
  if (!mid.leaf_pages) return LeavesPerMid() - first;
  const bool shared = mid.leaf_pages[first].is_none();
  uint64_t end = first + 1;
  while (end < LeavesPerMid() && mid.leaf_pages[end].is_none() == shared) {
    ++end;
  }
  return end - first;
}

void LeafMap::SetTreePage(uint64_t mid, Pfn page, bool filled_missing) {
  Mid& changed = Make(mid);
  changed.tree_page = page;
  changed.tree_filled_missing = filled_missing;
}

}  // namespace simvisor
