#include "domain/frames/frame_cells.h"

#include <algorithm>
#include <cassert>

#include "base/status_macros.h"

namespace simvisor {

absl::StatusOr<FrameCells> FrameCells::Create(uint64_t size, int leaf_shift,
                                              int block_shift,
                                              AllocationFaults* faults) {
  SIMVISOR_ASSIGN_OR_RETURN(
      CompactWords words,
      CompactWords::Create(size, leaf_shift, block_shift, faults));
  return FrameCells(std::move(words), block_shift);
}

FrameCells::FrameCells(CompactWords words, int block_shift)
    : words_(std::move(words)),
      block_shift_(block_shift),
      block_mask_((uint64_t{1} << block_shift) - 1),
      lists_(words_.capacity() >> block_shift) {}

void FrameCells::SetParts(uint64_t first, uint64_t count, Fill fill) {
  assert(first <= capacity() && count <= capacity() - first);
  for (uint64_t done = 0; done < count;) {
    const uint64_t at = first + done;
    const uint64_t n =
        std::min(count - done, words_.block_size() - (at & block_mask_));
    SetInBlock(at, n, {fill.At(done), fill.counts_up});
    done += n;
  }
}

void FrameCells::SetInBlock(uint64_t first, uint64_t count, Fill fill) {
  const uint64_t block = first >> block_shift_;
  if (words_.IsSplit(block) && count < words_.block_size()) {
    return words_.SetRange(first, count, fill);
  }
  if (count == words_.block_size()) return SetBlock(block, fill);
  std::unique_ptr<RunList>& list = lists_[block];
  if (list == nullptr) {
    const uint64_t begin = block << block_shift_;
    const Run all = words_.RunAt(begin, begin + words_.block_size());
    list = std::make_unique<RunList>(all.count, all.fill);
  }
  list->Set(first & block_mask_, count, fill);
  if (list->runs() == 1) {
    SetBlock(block, list->RunAt(0, words_.block_size()).fill);
  } else if (list->runs() > kMaxRuns) {
    Split(block);
  }
}

void FrameCells::SetBlock(uint64_t block, Fill fill) {
  const bool was_split = words_.IsSplit(block);
  lists_[block] = nullptr;
  words_.SetRange(block << block_shift_, words_.block_size(), fill);
  if (was_split && !words_.IsSplit(block)) words_.Discard(block);
}

void FrameCells::Split(uint64_t block) {
  const std::unique_ptr<RunList> list = std::move(lists_[block]);
  const uint64_t begin = block << block_shift_;
  for (uint64_t at = 0; at < words_.block_size();) {
    const Run run = list->RunAt(at, words_.block_size());
    words_.SetRange(begin + at, run.count, run.fill);
    at += run.count;
  }
}

FrameCells::Run FrameCells::RunAt(uint64_t first, uint64_t limit) const {
  const uint64_t block = first >> block_shift_;
  if (lists_[block] == nullptr) return words_.RunAt(first, limit);
  const uint64_t begin = block << block_shift_;
  Run run = lists_[block]->RunAt(first - begin,
                                 std::min(limit - begin, words_.block_size()));
  run.first = first;
  return run;
}

FrameCells::Run FrameCells::MaximalRunAt(uint64_t first, uint64_t limit) const {
  return CompactWords::MaximalRun(*this, first, limit);
}

}  // namespace simvisor
