// Compares the counts of a frame table with a recount of its cells.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/error.h"
#include "domain/frames/frame_cell.h"
#include "domain/frames/frame_table.h"

namespace simvisor {
namespace {

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

}  // namespace

struct FrameTable::Recount {
  Counts counts;
  PageCount free_low;
  uint64_t lowest_free;
  uint64_t lowest_free_high;
  std::vector<std::string> wrong;

  // Records a difference between a count and its recount.
  void Expect(absl::string_view what, PageCount kept, PageCount found) {
    if (kept == found) return;
    wrong.push_back(absl::StrFormat("%s: %d counted, %d found", what,
                                    kept.value(), found.value()));
  }
  // Records a free frame below a hint.
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

void FrameTable::CheckRun(const FrameCells::Run& run, Recount& recount) const {
  const PageCount count(run.count);
  const FrameState state = StateOf(run.fill.first);
  if (!IsValid(run) || (state != FrameState::kNotRam &&
                        run.first + run.count > max_mfn_.value())) {
    recount.wrong.push_back(absl::StrFormat(
        "%d cells from mfn 0x%x on: 0x%x is not a state that a frame can have",
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
