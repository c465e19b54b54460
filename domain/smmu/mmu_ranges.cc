#include "domain/smmu/mmu_ranges.h"

#include <utility>

#include "domain/smmu/seeded_mistakes.h"

namespace simvisor {

RangeId MmuRanges::Begin(Range range) {
  if (IsSeeded(SeededMistake::kSeqAfterActive)) seq_ = last_id_ - open_.size();
  const RangeId id{++last_id_};
  open_.emplace(id, std::move(range));
  return id;
}

void MmuRanges::OpenGateIfAnswered(RangeId id) {
  Range* range = Find(id);
  if (range != nullptr && range->pending.empty()) OpenGate(*range);
}

MmuRanges::Range* MmuRanges::Find(RangeId id) {
  const auto at = open_.find(id);
  return at == open_.end() ? nullptr : &at->second;
}

const MmuRanges::Range* MmuRanges::Find(RangeId id) const {
  const auto at = open_.find(id);
  return at == open_.end() ? nullptr : &at->second;
}

void MmuRanges::Answer(RangeId id, SubscriptionId subscription) {
  if (Range* range = Find(id)) Erase(*range, subscription);
}

void MmuRanges::Refuse(RangeId id, SubscriptionId subscription) {
  Range* range = Find(id);
  if (range == nullptr) return;
  range->refused = true;
  range->pending.erase(subscription);
  OpenGate(*range);
}

void MmuRanges::Leave(SubscriptionId subscription) {
  for (auto& [id, range] : open_) Erase(range, subscription);
}

std::optional<MmuRanges::Range> MmuRanges::Close(RangeId id) {
  const auto at = open_.find(id);
  if (at == open_.end()) return std::nullopt;
  if (!IsSeeded(SeededMistake::kSeqAfterActive)) ++seq_;
  Range range = std::move(at->second);
  open_.erase(at);
  return range;
}

void MmuRanges::Erase(Range& range, SubscriptionId subscription) {
  if (range.pending.erase(subscription) == 0) return;
  if (range.pending.empty()) OpenGate(range);
}

void MmuRanges::OpenGate(Range& range) {
  // Once it is open its owner may end, though the range stays open.
  if (range.gate != nullptr) std::exchange(range.gate, nullptr)->Open();
}

}  // namespace simvisor
