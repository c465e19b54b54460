#include "domain/frames/frame_table.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "domain/units/error.h"
#include "domain/units/status_macros.h"

namespace simvisor {
namespace {

constexpr uint64_t kFreeCell = 0;
constexpr uint64_t kPfnMask = (uint64_t{1} << FrameTable::kPfnBits) - 1;
constexpr uint64_t kReservedCode = 0x7FFE;
constexpr uint64_t kNotRamCode = 0x7FFF;
// Owners have codes 1 to this.
constexpr uint64_t kLastOwnerCode = kFirstReservedDomainId;
static_assert(kLastOwnerCode < kReservedCode);

constexpr uint64_t MakeCell(uint64_t code, uint64_t pfn) {
  return code << FrameTable::kPfnBits | pfn;
}
constexpr uint64_t kReservedCell = MakeCell(kReservedCode, FrameTable::kNoPfn);
constexpr uint64_t kNotRamCell = MakeCell(kNotRamCode, FrameTable::kNoPfn);

uint64_t OwnedCell(DomainId owner, Pfn pfn) {
  return MakeCell(uint64_t{owner.value()} + 1,
                  pfn.is_none() ? FrameTable::kNoPfn : pfn.value());
}

FrameState StateOf(uint64_t cell) {
  if (cell == kFreeCell) return FrameState::kFree;
  if (cell == kReservedCell) return FrameState::kReserved;
  if (cell == kNotRamCell) return FrameState::kNotRam;
  return FrameState::kOwned;
}

bool HasPfn(uint64_t cell) {
  return StateOf(cell) == FrameState::kOwned &&
         (cell & kPfnMask) != FrameTable::kNoPfn;
}

// Whether this class could have written `run`.
bool IsValid(const FrameCells::Run& run) {
  const uint64_t first = run.fill.first;
  if (StateOf(first) != FrameState::kOwned) return !run.fill.counts_up;
  const uint64_t last = run.fill.At(run.count - 1);
  const uint64_t code = first >> FrameTable::kPfnBits;
  return code >= 1 && code <= kLastOwnerCode &&
         last >> FrameTable::kPfnBits == code &&
         (HasPfn(first) ? Pfn(last & kPfnMask) < FrameTable::kEndPfn
                        : !run.fill.counts_up);
}

// Calls visit(first, count) for the parts into which multiples of `size` cut
// [first, first + count).
template <typename Visit>
void ForEachPart(uint64_t first, uint64_t count, uint64_t size, Visit visit) {
  while (count > 0) {
    const uint64_t n = std::min(count, size - first % size);
    visit(first, n);
    first += n;
    count -= n;
  }
}

constexpr uint64_t kWordBits = 64;

PageCount CountBits(uint64_t word) {
  return PageCount(static_cast<uint64_t>(std::popcount(word)));
}

// Of bits that stand for numbers from `first` on, those below `end`.
uint64_t BitsBelow(uint64_t first, uint64_t end) {
  if (first >= end) return 0;
  const uint64_t count = end - first;
  return count < kWordBits ? ~(~uint64_t{0} << count) : ~uint64_t{0};
}

// Adds `frames`, which go on where the last ones end if they lie there too.
void Append(MfnExtent frames, std::vector<MfnExtent>& extents) {
  if (!extents.empty() && extents.back().end() == frames.first) {
    extents.back().count += frames.count;
  } else {
    extents.push_back(frames);
  }
}

}  // namespace

struct FrameTable::Recount {
  Counts counts;
  PageCount free_low;
  uint64_t lowest_free;
  uint64_t lowest_free_high;
  std::vector<std::string> wrong;

  // Notes a difference between a count and its recount.
  void Expect(absl::string_view what, PageCount kept, PageCount found) {
    if (kept == found) return;
    wrong.push_back(absl::StrFormat("%s: %d counted, %d found", what,
                                    kept.value(), found.value()));
  }
  // Notes a free frame where none should be.
  void ExpectNoneBelow(Mfn hint, uint64_t lowest) {
    if (hint.value() <= lowest) return;
    wrong.push_back(
        absl::StrFormat("mfn 0x%x is free, but none should be below 0x%x",
                        lowest, hint.value()));
  }
  void ExpectAt(absl::string_view what, uint64_t index, uint64_t kept,
                uint64_t found) {
    if (kept == found) return;
    Expect(absl::StrCat(what, " ", index), PageCount(kept), PageCount(found));
  }
};

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
  // The last one that makes the block free is for Free().
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

PageCount FrameTable::TakeNext(Mfn from, Mfn end, PageCount most,
                               size_t max_extents, DomainId owner,
                               Pfn first_pfn, std::vector<MfnExtent>& taken) {
  const MfnExtent next = FindFree(from, most);
  const uint64_t block = next.first.value() >> kBlockShift;
  FreeBits* const bits = free_bits_[block].get();
  if (bits == nullptr) {
    const MfnExtent frames =
        ExtentBetween(next.first, std::min(next.end(), end));
    Take(frames, owner, first_pfn);
    Append(frames, taken);
    return frames.count;
  }
  const PageCount count = TakeInBlock(block, next.first, end, most, max_extents,
                                      owner, first_pfn, taken);
  free_in_block_[block] -= static_cast<uint32_t>(count.value());
  if (free_in_block_[block] == 0) free_bits_[block].reset();
  counts_.free -= count;
  counts_.owned += count;
  return count;
}

PageCount FrameTable::TakeInBlock(uint64_t block, Mfn from, Mfn end,
                                  PageCount most, size_t max_extents,
                                  DomainId owner, Pfn first_pfn,
                                  std::vector<MfnExtent>& taken) {
  FreeBits& bits = *free_bits_[block];
  const uint64_t base = block << kBlockShift;
  const uint64_t limit = std::min(end.value() - base, kBlockSize);
  const size_t room = taken.size() + max_extents;
  PageCount count;
  for (uint64_t at = from.value() - base;
       at < limit && count < most && taken.size() < room;
       at = bits.NextFree(at)) {
    const uint64_t run_end =
        bits.NextTaken(at, std::min(limit, at + (most - count).value()));
    const MfnExtent run = {Mfn(base + at), PageCount(run_end - at)};
    const uint64_t cell = OwnedCell(owner, first_pfn + count);
    if (run.count < PageCount(kWordBits)) {
      count += TakeInWord(block, at, limit, most - count, cell, taken);
      at = at / kWordBits * kWordBits + kWordBits;
      continue;
    }
    cells_.SetRange(run.first.value(), run.count.value(), {cell, true});
    bits.Clear(at, run.count.value());
    free_low_ -= LowPart(run);
    Append(run, taken);
    count += run.count;
    at = run_end;
  }
  return count;
}

PageCount FrameTable::TakeInWord(uint64_t block, uint64_t at, uint64_t limit,
                                 PageCount most, uint64_t cell,
                                 std::vector<MfnExtent>& taken) {
  uint64_t frames = free_bits_[block]->TakeBits(at, limit, most.value());
  const uint64_t first = (block << kBlockShift) + at / kWordBits * kWordBits;
  free_low_ -= CountBits(frames & BitsBelow(first, low_end_.value()));
  const PageCount count = CountBits(frames);
  const uint64_t leaf = first >> kLeafShift;
  uint64_t* const cells = cells_.OpenLeaf(leaf);
  uint64_t last = 0;
  for (; frames != 0; frames &= frames - 1) {
    last = first + static_cast<uint64_t>(std::countr_zero(frames));
    cells[last % kLeafSize] = cell++;
    Append({Mfn(last), PageCount(1)}, taken);
  }
  cells_.CloseLeaf(leaf, last);
  return count;
}

void FrameTable::TakeScattered(absl::FunctionRef<Mfn()> places, Mfn first,
                               Mfn end, size_t count, DomainId owner,
                               Pfn first_pfn, std::vector<MfnExtent>& taken) {
  // Every cell is a cache miss, so cells are set when all have been asked for.
  const size_t begin = taken.size();
  for (size_t i = 0; i < count; ++i) {
    MfnExtent frame = FindFree(places(), PageCount(1));
    if (frame.empty() || frame.first >= end) {
      frame = FindFree(first, PageCount(1));
    }
    taken.push_back(frame);
    cells_.Prefetch(frame.first.value());
    if (!TakeOffBits(frame)) Take(frame, owner, first_pfn + PageCount(i));
  }
  for (size_t i = 0; i < count; ++i) {
    cells_.SetRange(taken[begin + i].first.value(), 1,
                    {OwnedCell(owner, first_pfn + PageCount(i)), true});
  }
}

bool FrameTable::TakeOffBits(MfnExtent frame) {
  const uint64_t block = frame.first.value() >> kBlockShift;
  FreeBits* const bits = free_bits_[block].get();
  if (bits == nullptr || free_in_block_[block] == 1) return false;
  bits->Clear(frame.first.value() % kBlockSize, 1);
  --free_in_block_[block];
  counts_.free -= frame.count;
  counts_.owned += frame.count;
  free_low_ -= LowPart(frame);
  return true;
}

void FrameTable::SetPfns(MfnExtent frames, Pfn first_pfn) {
  assert(AllAre(FrameState::kOwned, frames));
  assert(first_pfn.is_none() || FitsWithin(first_pfn, frames.count, kEndPfn));
  for (Mfn at = frames.first; at < frames.end();) {
    // As many as one domain owns, whatever their pfns were.
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
  // Entries that end runs may have split a block.
  ForEachPart(frames.first.value(), frames.count.value(), kBlockSize,
              [this](uint64_t first, uint64_t) {
                const uint64_t block = first >> kBlockShift;
                if (free_bits_[block] == nullptr) MakeBits(block);
              });
}

FrameRun FrameTable::RunAt(Mfn first, Mfn end) const {
  const FrameCells::Run cells = cells_.MaximalRunAt(first.value(), end.value());
  const uint64_t cell = cells.fill.first;
  FrameRun run = {{first, PageCount(cells.count)}, StateOf(cell), {}};
  if (run.state == FrameState::kOwned) {
    run.owner = DomainId(static_cast<uint16_t>((cell >> kPfnBits) - 1));
  }
  if (HasPfn(cell)) {
    run.first_pfn = Pfn(cell & kPfnMask);
    // Frames that share a pfn do not follow each other.
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
    // A block set in parts is not folded by itself.
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

void FrameTable::CheckRun(const FrameCells::Run& run, Recount& recount) const {
  const PageCount count(run.count);
  const FrameState state = StateOf(run.fill.first);
  if (!IsValid(run) || (state != FrameState::kNotRam &&
                        run.first + run.count > max_mfn_.value())) {
    recount.wrong.push_back(absl::StrFormat(
        "%d cells from mfn 0x%x on: 0x%x is no state a frame can have",
        run.count, run.first, run.fill.first));
  }
  const FreeBits* const bits = free_bits_[run.first >> kBlockShift].get();
  const uint64_t offset = run.first % kBlockSize;
  const uint64_t end = offset + run.count;
  if (bits != nullptr &&
      (state == FrameState::kFree ? bits->NextTaken(offset, end) < end
                                  : bits->NextFree(offset) < end)) {
    recount.wrong.push_back(absl::StrFormat(
        "%d cells from mfn 0x%x on: the bits differ", run.count, run.first));
  }
  if (state == FrameState::kNotRam) return;
  recount.counts.total += count;
  if (state == FrameState::kReserved) recount.counts.reserved += count;
  if (state == FrameState::kOwned) recount.counts.owned += count;
  if (state != FrameState::kFree) return;
  recount.counts.free += count;
  recount.lowest_free = std::min(recount.lowest_free, run.first);
  const PageCount low = LowPart({Mfn(run.first), count});
  recount.free_low += low;
  if (low == count) return;
  recount.lowest_free_high =
      std::min(recount.lowest_free_high, run.first + low.value());
}

void FrameTable::CheckBlock(uint64_t block, Recount& recount) const {
  const PageCount free_before = recount.counts.free;
  const uint64_t end = (block + 1) << kBlockShift;
  for (uint64_t at = block << kBlockShift; at < end;) {
    const FrameCells::Run run = cells_.RunAt(at, end);
    CheckRun(run, recount);
    at += run.count;
  }
  const uint64_t free = (recount.counts.free - free_before).value();
  recount.ExpectAt("free frames of block", block, free_in_block_[block], free);
  const bool has_bits = free_bits_[block] != nullptr;
  const bool split = cells_.IsSplit(block);
  if (has_bits != (split && free > 0 && free < kBlockSize)) {
    recount.wrong.push_back(absl::StrFormat(
        "block %d, which is %s, has %d free frames %s bits", block,
        split ? "split" : "not split", free, has_bits ? "and" : "but no"));
  }
}

absl::Status FrameTable::CheckInvariants() const {
  Recount recount;
  recount.lowest_free = max_mfn_.value();
  recount.lowest_free_high = max_mfn_.value();
  for (uint64_t block = 0; block < free_in_block_.size(); ++block) {
    CheckBlock(block, recount);
  }
  recount.Expect("frames", counts_.total, recount.counts.total);
  recount.Expect("free frames", counts_.free, recount.counts.free);
  recount.Expect("free low frames", free_low_, recount.free_low);
  recount.Expect("owned frames", counts_.owned, recount.counts.owned);
  recount.Expect("reserved frames", counts_.reserved, recount.counts.reserved);
  recount.ExpectNoneBelow(lowest_free_, recount.lowest_free);
  recount.ExpectNoneBelow(lowest_free_high_, recount.lowest_free_high);
  if (recount.wrong.empty()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInternal, Reason::kInternal,
      absl::StrCat("frame table: ", absl::StrJoin(recount.wrong, "; ")));
}

}  // namespace simvisor
