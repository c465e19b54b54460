#include "domain/frames/frame_table.h"

#include <algorithm>
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
bool IsValid(const CompactWords::Run& run) {
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

FrameTable::FrameTable(CompactWords cells, Mfn max_mfn, Mfn low_end)
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
      CompactWords cells,
      CompactWords::Create(max_mfn.value(), kLeafShift, kBlockShift, faults));
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
  lowest_free_ = std::min(lowest_free_, frames.first);
  if (frames.end() > low_end_) {
    lowest_free_high_ =
        std::min(lowest_free_high_, std::max(frames.first, low_end_));
  }
  // A block set in parts is not folded by itself.
  ForEachPart(
      frames.first.value(), frames.count.value(), kBlockSize,
      [this](uint64_t first, uint64_t count) {
        const uint64_t block = first >> kBlockShift;
        if (count < kBlockSize && free_in_block_[block] == kBlockSize) {
          cells_.SetRange(block << kBlockShift, kBlockSize, {kFreeCell, false});
        }
      });
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
}

FrameRun FrameTable::RunAt(Mfn first, Mfn end) const {
  const CompactWords::Run cells =
      cells_.MaximalRunAt(first.value(), end.value());
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
                const uint64_t block = first >> kBlockShift;
                if (free_in_block_[block] + count == kBlockSize) {
                  free_bits_[block].reset();
                } else {
                  BitsOf(block).Set(first % kBlockSize, count);
                }
                free_in_block_[block] += count;
              });
  counts_.free += frames.count;
  free_low_ += LowPart(frames);
}

void FrameTable::CountTaken(MfnExtent frames) {
  ForEachPart(frames.first.value(), frames.count.value(), kBlockSize,
              [this](uint64_t first, uint64_t count) {
                const uint64_t block = first >> kBlockShift;
                if (free_in_block_[block] == count) {
                  free_bits_[block].reset();
                } else {
                  BitsOf(block).Clear(first % kBlockSize, count);
                }
                free_in_block_[block] -= count;
              });
  counts_.free -= frames.count;
  free_low_ -= LowPart(frames);
}

PageCount FrameTable::LowPart(MfnExtent frames) const {
  return ExtentBetween(frames.first, std::min(frames.end(), low_end_)).count;
}

FreeBits& FrameTable::BitsOf(uint64_t block) {
  std::unique_ptr<FreeBits>& bits = free_bits_[block];
  if (bits == nullptr) {
    // None yet, so it was free entirely or not at all.
    bits = std::make_unique<FreeBits>(free_in_block_[block] == kBlockSize);
  }
  return *bits;
}

uint64_t FrameTable::NextFree(uint64_t at) const {
  while (at < max_mfn_.value()) {
    const uint64_t block = at >> kBlockShift;
    if (free_in_block_[block] == kBlockSize) return at;
    if (free_in_block_[block] > 0) {
      const uint64_t offset = free_bits_[block]->NextFree(at % kBlockSize);
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
          block_first +
          free_bits_[block]->NextTaken(at - block_first, end - block_first);
      if (taken < end) return taken;
    }
    at = end;
  }
  return limit;
}

void FrameTable::CheckRun(const CompactWords::Run& run,
                          Recount& recount) const {
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
    const CompactWords::Run run = cells_.RunAt(at, end);
    CheckRun(run, recount);
    at += run.count;
  }
  const uint64_t free = (recount.counts.free - free_before).value();
  recount.ExpectAt("free frames of block", block, free_in_block_[block], free);
  const bool has_bits = free_bits_[block] != nullptr;
  if (has_bits != (free > 0 && free < kBlockSize)) {
    recount.wrong.push_back(
        absl::StrFormat("block %d has %d free frames %s bits", block, free,
                        has_bits ? "and" : "but no"));
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
