// Taking many small extents, or many single frames, in one call.

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <vector>

#include "domain/frames/frame_cell.h"
#include "domain/frames/frame_table.h"

namespace simvisor {
namespace {

constexpr uint64_t kWordBits = 64;

PageCount CountBits(uint64_t word) {
  return PageCount(static_cast<uint64_t>(std::popcount(word)));
}

// A mask of the bits for numbers below `end`, if bit 0 stands for `first`.
uint64_t BitsBelow(uint64_t first, uint64_t end) {
  if (first >= end) return 0;
  const uint64_t count = end - first;
  return count < kWordBits ? ~(~uint64_t{0} << count) : ~uint64_t{0};
}

// Adds `frames`, joining them to the last extent if they continue it.
void Append(MfnExtent frames, std::vector<MfnExtent>& extents) {
  if (!extents.empty() && extents.back().end() == frames.first) {
    extents.back().count += frames.count;
  } else {
    extents.push_back(frames);
  }
}

}  // namespace

PageCount FrameTable::TakeNext(Mfn from, Mfn end, PageCount most,
                               size_t max_extents, DomainId owner,
                               Pfn first_pfn, std::vector<MfnExtent>& taken) {
  const MfnExtent next = FindFree(from, most);
  assert(!next.empty() && next.first < end);
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
  // Every cell is a cache miss, so prefetch all of them before setting any.
  const size_t begin = taken.size();
  for (size_t i = 0; i < count; ++i) {
    MfnExtent frame = FindFree(places(), PageCount(1));
    if (frame.empty() || frame.first >= end) {
      frame = FindFree(first, PageCount(1));
    }
    assert(!frame.empty() && frame.first < end);
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

}  // namespace simvisor
