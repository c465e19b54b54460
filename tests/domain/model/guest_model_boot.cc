// GuestModel: the builder's list, and how the kernel transforms it at boot.

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>

#include "tests/domain/model/guest_model.h"

namespace simvisor {

uint64_t GuestModel::BootPages(const Spec& spec) {
  GuestModel guest(spec);
  guest.counting_ = true;
  guest.Boot();
  return guest.structure_taken_;
}

uint64_t UsablePages(const GuestModel::Spec& spec) {
  uint64_t usable = 0;
  for (const PfnExtent& ram : spec.map.RamPages()) {
    const uint64_t first = std::max<uint64_t>(ram.first.value(), 256);
    const uint64_t end = std::min(ram.end().value(), spec.memory);
    if (first < end) usable += end - first;
  }
  return usable;
}

void GuestModel::BuildList() {
  for (uint64_t pfn = 256; pfn < spec_.memory; ++pfn) {
    if (IsRam(pfn)) free_.insert(pfn);
  }
  size_ = RoundUp(spec_.memory, abi_.leaf_span());
  for (uint64_t pfn = 0; pfn < size_; ++pfn) {
    words_[pfn] = pfn < spec_.memory ? kNewFrame : kMissing;
  }
  for (uint64_t i = 0; i < size_ / abi_.leaf_span(); ++i) TakePage();
  current_ = spec_.memory;
}

std::map<uint64_t, uint64_t> GuestModel::PlanMoves() const {
  std::map<uint64_t, uint64_t> targets;
  uint64_t cursor = spec_.memory;
  for (uint64_t pfn = 0; pfn < spec_.memory; ++pfn) {
    if (IsRam(pfn)) continue;
    const uint64_t target = NextRam(cursor);
    targets[pfn] = target;
    if (target != kMissing) cursor = target + 1;
  }
  return targets;
}

std::set<uint64_t> GuestModel::PlanExtra(
    const std::map<uint64_t, uint64_t>& targets) const {
  uint64_t limit = abi_.guest_page_limit;
  if (&abi_ == &kAbiX86_64) {
    limit = std::max(limit, spec_.map.EndPage().value());
  }
  if (spec_.initial) limit = std::min(limit, spec_.ceiling);
  limit += targets.size();
  uint64_t left = limit > spec_.memory ? limit - spec_.memory : 0;
  left = std::min(left, 10 * std::min(spec_.memory, abi_.low_memory_pages));
  std::set<uint64_t> extra;
  for (uint64_t pfn = NextRam(spec_.memory); left > 0 && pfn != kMissing;
       pfn = NextRam(pfn + 1)) {
    extra.insert(pfn);
    --left;
  }
  return extra;
}

void GuestModel::Relocate(const std::set<uint64_t>& extra) {
  const uint64_t max_pfn =
      std::max(size_, extra.empty() ? 0 : *extra.rbegin() + 1);
  const uint64_t builder_leaves = size_ / abi_.leaf_span();
  for (int i = 0; i < 4; ++i) TakePage();
  size_ = RoundUp(max_pfn, abi_.mid_span());
  if (spec_.p2m.balloon_room == BalloonRoom::kCompact) {
    // Room within the builder's list has a word there, and that word counts.
    const uint64_t list_end = builder_leaves * abi_.leaf_span();
    for (const uint64_t pfn : extra) {
      if (pfn >= list_end) words_[pfn] = kMissing;
    }
  }
  std::map<uint64_t, uint64_t> ram, missing;  // words by leaf
  for (const auto& [pfn, word] : words_) {
    ++(word == kMissing ? missing : ram)[pfn / abi_.leaf_span()];
  }
  const uint64_t leaves = abi_.words_per_page;
  for (uint64_t mid = 0; mid < size_ / abi_.mid_span(); ++mid) {
    uint64_t all_missing = 0, all_identity = 0;
    for (uint64_t leaf = mid * leaves; leaf < (mid + 1) * leaves; ++leaf) {
      if (ram.contains(leaf)) continue;
      all_identity += missing.contains(leaf) ? 0 : 1;
      if (missing[leaf] == abi_.leaf_span()) {
        ++all_missing;
        missing_leaves_.insert(leaf);
      }
    }
    if (all_missing == leaves || all_identity == leaves) continue;
    private_mids_.insert(mid);
    for (uint64_t i = 0; i < abi_.pmds_per_mid; ++i) TakePage();
    for (uint64_t leaf = mid * leaves; leaf < (mid + 1) * leaves; ++leaf) {
      const uint64_t holes = missing[leaf];
      if (!ram.contains(leaf) && (holes == 0 || holes == abi_.leaf_span())) {
        continue;
      }
      private_leaves_.insert(leaf);
      const bool reused = &abi_ != &kAbiX86_64 && leaf < builder_leaves;
      if (!reused) TakePage();
    }
  }
  relocated_ = true;
  for (const uint64_t pfn : extra) SetWord(pfn, kMissing);
}

void GuestModel::BuildTree() {
  if (spec_.p2m.tools_view == ToolsView::kLinear) {
    const uint64_t ptes = size_ / abi_.mid_span() * abi_.pmds_per_mid;
    for (uint64_t i = 0; i < RoundUp(ptes, 512) / 512; ++i) TakePage();
    for (int i = &abi_ == &kAbiX86_64 ? 2 : 1; i > 0; --i) TakePage();
    return;
  }
  for (int i = 0; i < 3; ++i) TakePage();
  tree_built_ = true;
  for (const uint64_t mid : private_mids_) {
    if (!HasTreePage(mid) && TakePage()) tree_mids_.insert(mid);
  }
}

}  // namespace simvisor
