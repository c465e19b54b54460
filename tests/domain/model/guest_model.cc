// GuestModel: leaves that become private, and the balloon's order.

#include "tests/domain/model/guest_model.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>

namespace simvisor {

void GuestModel::MakePrivate(uint64_t pfn, P2mClass wanted) {
  if (!SharedLeafDiffers(pfn, wanted)) return;
  const uint64_t mid = pfn / abi_.mid_span();
  if (private_mids_.insert(mid).second) {
    for (uint64_t i = 0; i < abi_.pmds_per_mid; ++i) TakePage();
  }
  if (!HasTreePage(mid) && TakePage()) tree_mids_.insert(mid);
  TakePage();
  private_leaves_.insert(pfn / abi_.leaf_span());
  missing_leaves_.erase(pfn / abi_.leaf_span());
}

bool GuestModel::TakeLeafFor(uint64_t pfn) {
  if (!SharedLeafDiffers(pfn, P2mClass::kRam)) return true;
  const uint64_t mid = pfn / abi_.mid_span();
  if (!private_mids_.contains(mid)) {
    if (free_.size() < abi_.pmds_per_mid) return false;
    for (uint64_t i = 0; i < abi_.pmds_per_mid; ++i) TakePage();
    private_mids_.insert(mid);
  }
  if (!HasTreePage(mid)) {
    if (!TakePage()) return false;
    tree_mids_.insert(mid);
  }
  if (!TakePage()) return false;
  private_leaves_.insert(pfn / abi_.leaf_span());
  missing_leaves_.erase(pfn / abi_.leaf_span());
  return true;
}

GuestModel::Range GuestModel::NextStretch(uint64_t top, uint64_t most) const {
  const uint64_t next = balloon_[top - 1];
  const uint64_t step = IsHigh(next) ? 1 : ~uint64_t{0};
  uint64_t count = 1;
  while (count < std::min(top, most) &&
         balloon_[top - count - 1] == balloon_[top - count] + step) {
    ++count;
  }
  const uint64_t first = IsHigh(next) ? next : next + 1 - count;
  return {first, first + count};
}

void GuestModel::PutBack(const Range& rest) {
  for (uint64_t i = 0; i < rest.end - rest.first; ++i) {
    const bool high = IsHigh(rest.first);
    balloon_.push_back(high ? rest.end - 1 - i : rest.first + i);
  }
}

}  // namespace simvisor
