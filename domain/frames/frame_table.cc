#include "domain/frames/frame_table.h"

#include <algorithm>
#include <cassert>
#include <memory>
#include <utility>

#include "base/status_macros.h"
#include "domain/frames/frame_cell.h"

namespace simvisor {
namespace {

// Cuts [first, first + count) at multiples of `size` and calls visit(first,
// count) for each part.
template <typename Visit>
void ForEachPart(uint64_t first, uint64_t count, uint64_t size, Visit visit) {
  while (count > 0) {
    const uint64_t n = std::min(count, size - first % size);
    visit(first, n);
    first += n;
    count -= n;
  }
}

}  // namespace

FrameTable::FrameTable(FrameCells cells, Mfn max_mfn, Mfn low_end)
    : cells_(std::move(cells)),
      max_mfn_(max_mfn),
      low_end_(low_end),
      free_in_block_(cells_.capacity() >> kBlockShift),
      free_bits_(cells_.capacity() >> kBlockShift),
      lowest_free_high_(low_end) {}

absl::StatusOr<FrameTable> FrameTable::Create(const std::vector<MfnExtent>& ram,
                                              Mfn reserved_below, Mfn low_end,
                                              AllocationFaults* faults) {
  const Mfn max_mfn = ram.back().end();
  SIMVISOR_ASSIGN_OR_RETURN(
      FrameCells cells,
      FrameCells::Create(max_mfn.value(), kLeafShift, kBlockShift, faults));
  FrameTable table(std::move(cells), max_mfn, std::min(low_end, max_mfn));
  table.cells_.SetRange(0, table.cells_.capacity(), {kNotRamCell, false});
  for (const MfnExtent& extent : ram) {
    const Mfn split = std::clamp(reserved_below, extent.first, extent.end());
    const MfnExtent reserved = ExtentBetween(extent.first, split);
    const MfnExtent free = ExtentBetween(split, extent.end());
    table.cells_.SetRange(reserved.first.value(), reserved.count.value(),
                          {kReservedCell, false});
    table.cells_.SetRange(free.first.value(), free.count.value(),
                          {kFreeCell, false});
    table.CountFreed(free);
    table.counts_.reserved += reserved.count;
    table.counts_.total += extent.count;
  }
  return table;
}

MfnExtent FrameTable::FindFree(Mfn from, PageCount most) {
  assert(most > PageCount(0));
  Mfn& lowest = from < low_end_ ? lowest_free_ : lowest_free_high_;
  const Mfn first(NextFree(std::max(from, lowest).value()));
  if (from <= lowest) lowest = first;
  const PageCount room = std::min(most, max_mfn_ - first);
  if (room == PageCount(0)) return {max_mfn_, room};
  return ExtentBetween(first,
                       Mfn(FreeEnd(first.value(), (first + room).value())));
}

void FrameTable::Take(MfnExtent frames, DomainId owner, Pfn first_pfn) {
  assert(AllAre(FrameState::kFree, frames));
  assert(FitsWithin(first_pfn, frames.count, kEndPfn));
  cells_.SetRange(frames.first.value(), frames.count.value(),
                  {OwnedCell(owner, first_pfn), true});
  CountTaken(frames);
  counts_.owned += frames.count;
}

void FrameTable::Free(MfnExtent frames) {
  assert(AllAre(FrameState::kOwned, frames));
  if (frames.empty()) return;
  cells_.SetRange(frames.first.value(), frames.count.value(),
                  {kFreeCell, false});
  CountFreed(frames);
  counts_.owned -= frames.count;
  LowerHints(frames);
}

void FrameTable::LowerHints(MfnExtent freed) {
  lowest_free_ = std::min(lowest_free_, freed.first);
  if (freed.end() > low_end_) {
    lowest_free_high_ =
        std::min(lowest_free_high_, std::max(freed.first, low_end_));
  }
}

void FrameTable::Free(absl::Span<const MfnExtent> extents) {
  constexpr size_t kAhead = 16;
  while (!extents.empty()) {
    if (extents.size() > kAhead) {
      cells_.Prefetch(extents[kAhead].first.value());
    }
    const size_t singles = FreeInLeaf(extents);
    if (singles == 0) Free(extents.front());
    extents.remove_prefix(std::max<size_t>(singles, 1));
  }
}

size_t FrameTable::FreeInLeaf(absl::Span<const MfnExtent> extents) {
  const uint64_t first = extents.front().first.value();
  const uint64_t block = first >> kBlockShift;
  const uint64_t leaf = first >> kLeafShift;
  FreeBits* const bits = free_bits_[block].get();
  if (bits == nullptr || extents.front().count != PageCount(1)) return 0;
  // Leave the last frame, which makes the block free, to Free().
  const size_t most = kBlockSize - 1 - free_in_block_[block];
  if (most == 0) return 0;
  uint64_t* const cells = cells_.OpenLeaf(leaf);
  uint64_t last = 0;
  uint64_t low = 0;
  size_t n = 0;
  while (n < std::min(most, extents.size()) &&
         extents[n].count == PageCount(1) &&
         extents[n].first.value() >> kLeafShift == leaf) {
    last = extents[n++].first.value();
    assert(StateOf(cells[last % kLeafSize]) == FrameState::kOwned);
    cells[last % kLeafSize] = kFreeCell;
    bits->Set(last % kBlockSize, 1);
    low += last < low_end_.value() ? 1 : 0;
    LowerHints({Mfn(last), PageCount(1)});
  }
  cells_.CloseLeaf(leaf, last);
  free_in_block_[block] += static_cast<uint32_t>(n);
  counts_.free += PageCount(n);
  counts_.owned -= PageCount(n);
  free_low_ += PageCount(low);
  return n;
}

void FrameTable::SetPfns(MfnExtent frames, Pfn first_pfn) {
  assert(AllAre(FrameState::kOwned, frames));
  assert(first_pfn.is_none() || FitsWithin(first_pfn, frames.count, kEndPfn));
  for (Mfn at = frames.first; at < frames.end();) {
    // All frames up to the next owner, whatever their pfns were.
    FrameRun run = RunAt(at, frames.end());
    const DomainId owner = run.owner;
    Mfn end = run.frames.end();
    while (end < frames.end()) {
      run = RunAt(end, frames.end());
      if (run.owner != owner) break;
      end = run.frames.end();
    }
    const Pfn pfn =
        first_pfn.is_none() ? first_pfn : first_pfn + (at - frames.first);
    cells_.SetRange(at.value(), (end - at).value(),
                    {OwnedCell(owner, pfn), !first_pfn.is_none()});
    at = end;
  }
  // Entries at the end of a run may have split a block.
  ForEachPart(frames.first.value(), frames.count.value(), kBlockSize,
              [this](uint64_t first, uint64_t) {
                const uint64_t block = first >> kBlockShift;
                if (free_bits_[block] == nullptr) MakeBits(block);
              });
}

FrameRun FrameTable::RunAt(Mfn first, Mfn end) const {
  assert(first < end && end <= max_mfn());
  const FrameCells::Run cells = cells_.MaximalRunAt(first.value(), end.value());
  const uint64_t cell = cells.fill.first;
  FrameRun run = {{first, PageCount(cells.count)}, StateOf(cell), {}};
  if (run.state == FrameState::kOwned) {
    run.owner = DomainId(static_cast<uint16_t>((cell >> kPfnBits) - 1));
  }
  if (HasPfn(cell)) {
    run.first_pfn = Pfn(cell & kPfnMask);
    // Frames that share a pfn are not one run.
    if (!cells.fill.counts_up) run.frames.count = PageCount(1);
  }
  return run;
}

bool FrameTable::AllAre(FrameState state, MfnExtent frames) const {
  for (Mfn at = frames.first; at < frames.end();) {
    const FrameRun run = RunAt(at, frames.end());
    if (run.state != state) return false;
    at = run.frames.end();
  }
  return true;
}

void FrameTable::CountFreed(MfnExtent frames) {
  ForEachPart(frames.first.value(), frames.count.value(), kBlockSize,
              [this](uint64_t first, uint64_t count) {
                CountInBlock(first, count, /*free=*/true);
              });
  counts_.free += frames.count;
  free_low_ += LowPart(frames);
}

void FrameTable::CountTaken(MfnExtent frames) {
  ForEachPart(frames.first.value(), frames.count.value(), kBlockSize,
              [this](uint64_t first, uint64_t count) {
                CountInBlock(first, count, /*free=*/false);
              });
  counts_.free -= frames.count;
  free_low_ -= LowPart(frames);
}

void FrameTable::CountInBlock(uint64_t first, uint64_t count, bool free) {
  const uint64_t block = first >> kBlockShift;
  const uint64_t before = free_in_block_[block];
  const uint64_t after = free ? before + count : before - count;
  free_in_block_[block] = static_cast<uint32_t>(after);
  std::unique_ptr<FreeBits>& bits = free_bits_[block];
  if (after == 0 || after == kBlockSize) {
    bits.reset();
    // A block that was set in parts is not folded automatically.
    if (free && cells_.IsSplit(block)) {
      cells_.SetRange(block << kBlockShift, kBlockSize, {kFreeCell, false});
    }
    return;
  }
  if (bits == nullptr) {
    if (before > 0 && before < kBlockSize) return MakeBits(block);
    if (!cells_.IsSplit(block)) return;
    bits = std::make_unique<FreeBits>(before == kBlockSize);
  }
  if (free) {
    bits->Set(first % kBlockSize, count);
  } else {
    bits->Clear(first % kBlockSize, count);
  }
}

PageCount FrameTable::LowPart(MfnExtent frames) const {
  return ExtentBetween(frames.first, std::min(frames.end(), low_end_)).count;
}

void FrameTable::MakeBits(uint64_t block) {
  const uint64_t free = free_in_block_[block];
  if (!cells_.IsSplit(block) || free == 0 || free == kBlockSize) return;
  auto bits = std::make_unique<FreeBits>(/*all_free=*/false);
  const uint64_t base = block << kBlockShift;
  for (uint64_t at = 0; at < kBlockSize;) {
    const FrameCells::Run run = cells_.RunAt(base + at, base + kBlockSize);
    if (StateOf(run.fill.first) == FrameState::kFree) bits->Set(at, run.count);
    at += run.count;
  }
  free_bits_[block] = std::move(bits);
}

uint64_t FrameTable::NextFree(uint64_t at) const {
  while (at < max_mfn_.value()) {
    const uint64_t block = at >> kBlockShift;
    if (free_in_block_[block] == kBlockSize) return at;
    if (free_in_block_[block] > 0) {
      const uint64_t offset = NextFreeIn(block, at % kBlockSize);
      if (offset < kBlockSize) return (block << kBlockShift) + offset;
    }
    at = (block + 1) << kBlockShift;
  }
  return max_mfn_.value();
}

uint64_t FrameTable::FreeEnd(uint64_t at, uint64_t limit) const {
  while (at < limit) {
    const uint64_t block = at >> kBlockShift;
    const uint64_t block_first = block << kBlockShift;
    const uint64_t end = std::min(limit, block_first + kBlockSize);
    if (free_in_block_[block] == 0) return at;
    if (free_in_block_[block] < kBlockSize) {
      const uint64_t taken =
          block_first + NextTakenIn(block, at - block_first, end - block_first);
      if (taken < end) return taken;
    }
    at = end;
  }
  return limit;
}

uint64_t FrameTable::NextFreeIn(uint64_t block, uint64_t at) const {
  const FreeBits* const bits = free_bits_[block].get();
  return bits != nullptr ? bits->NextFree(at)
                         : FindByRuns(block, at, kBlockSize, /*free=*/true);
}

uint64_t FrameTable::NextTakenIn(uint64_t block, uint64_t at,
                                 uint64_t end) const {
  const FreeBits* const bits = free_bits_[block].get();
  return bits != nullptr ? bits->NextTaken(at, end)
                         : FindByRuns(block, at, end, /*free=*/false);
}

uint64_t FrameTable::FindByRuns(uint64_t block, uint64_t at, uint64_t end,
                                bool free) const {
  const uint64_t base = block << kBlockShift;
  while (at < end) {
    const FrameCells::Run run = cells_.RunAt(base + at, base + end);
    if ((StateOf(run.fill.first) == FrameState::kFree) == free) return at;
    at += run.count;
  }
  return end;
}

}  // namespace simvisor
