#include "domain/collections/compact_words.h"

#include <sys/mman.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace simvisor {
namespace {

constexpr size_t kMappingAlign = 4096;
// More cells than this do not fit into the address space, and counting their
// bytes might overflow.
constexpr uint64_t kMaxSize = uint64_t{1} << 47;

constexpr uint64_t RoundUp(uint64_t n, uint64_t to) {
  return (n + to - 1) / to * to;
}

// Whether `count` cells filled as `fill` says equal those of `other` from
// `offset` on.
bool SameCells(CompactWords::Fill fill, CompactWords::Fill other,
               uint64_t offset, uint64_t count) {
  return fill.first == other.At(offset) &&
         (count == 1 || fill.counts_up == other.counts_up);
}

}  // namespace

// The parts of the mapping in order, each on pages of its own; in bytes.
struct CompactWords::Layout {
  // Up to this many blocks, with their counts, go to the heap: in the mapping
  // they would fill only part of a page.
  static constexpr uint64_t kFewBlocks = 256;

  Layout(uint64_t capacity, int leaf_shift, int block_shift)
      : blocks(capacity >> block_shift),
        leaves(blocks <= kFewBlocks
                   ? 0
                   : Pages(WordsForBlocks() * sizeof(uint64_t))),
        area(leaves + Pages((capacity >> leaf_shift) * sizeof(uint64_t))),
        end(area + Pages(capacity * sizeof(uint64_t))) {}

  // Words for the block descriptors and the counts after them.
  uint64_t WordsForBlocks() const { return blocks + (blocks + 1) / 2; }

  static uint64_t Pages(uint64_t bytes) {
    return RoundUp(bytes, kMappingAlign);
  }

  uint64_t blocks;  // how many
  uint64_t leaves, area, end;
};

absl::StatusOr<CompactWords> CompactWords::Create(uint64_t size, int leaf_shift,
                                                  int block_shift,
                                                  AllocationFaults* faults) {
  if (size > kMaxSize) {
    return MakeError(
        absl::StatusCode::kResourceExhausted,
        Reason::kHostAddressSpaceExhausted,
        absl::StrFormat("reserving address space for %d words: no process has "
                        "as much; use a smaller machine or domain",
                        size),
        {{fact::kRequested, size},
         {fact::kLimit, kMaxSize},
         {fact::kUnit, "words"}});
  }
  const uint64_t capacity =
      RoundUp(std::max<uint64_t>(size, 1), uint64_t{1} << block_shift);
  const Layout layout(capacity, leaf_shift, block_shift);
  SIMVISOR_ASSIGN_OR_RETURN(MappingBudget::Mapping mapping,
                            MappingBudget::OfProcess().Map(layout.end, faults));
  return CompactWords(std::move(mapping), layout, capacity, leaf_shift,
                      block_shift);
}

CompactWords::CompactWords(MappingBudget::Mapping mapping, const Layout& layout,
                           uint64_t capacity, int leaf_shift, int block_shift)
    : mapping_(std::move(mapping)),
      capacity_(capacity),
      leaf_shift_(leaf_shift),
      block_shift_(block_shift),
      leaf_mask_((uint64_t{1} << leaf_shift) - 1),
      block_mask_((uint64_t{1} << block_shift) - 1) {
  char* const start = static_cast<char*>(mapping_.get());
  if (layout.leaves == 0) {
    few_blocks_ = std::make_unique<uint64_t[]>(layout.WordsForBlocks());
    blocks_ = few_blocks_.get();
  } else {
    blocks_ = reinterpret_cast<uint64_t*>(start);
  }
  stored_in_block_ = reinterpret_cast<uint32_t*>(blocks_ + layout.blocks);
  leaves_ = reinterpret_cast<uint64_t*>(start + layout.leaves);
  area_ = reinterpret_cast<uint64_t*>(start + layout.area);
}

bool CompactWords::Fits(Fill fill, uint64_t count) {
  // Counting up must not carry into the tag bits, or into the bits above them.
  const uint64_t last = fill.At(count - 1);
  return ((fill.first | last) & kTagMask) == 0 &&
         (fill.first & ~(kRun - 1)) == (last & ~(kRun - 1));
}

uint64_t CompactWords::Describe(Fill fill) {
  return fill.first | (fill.counts_up ? kRun : 0);
}

CompactWords::Fill CompactWords::FillOf(uint64_t descriptor, uint64_t offset) {
  const Fill fill = {descriptor & ~kTagMask, (descriptor & kRun) != 0};
  return {fill.At(offset), fill.counts_up};
}

void CompactWords::Set(uint64_t index, uint64_t cell) {
  assert(index < capacity_);
  if (Get(index) == cell) return;
  const uint64_t block = index >> block_shift_;
  if (!IsSplit(block)) SplitBlock(block);
  const uint64_t leaf = index >> leaf_shift_;
  if (!IsStored(leaf)) StoreLeaf(leaf);
  StoreRelaxed(area_[index], cell);
}

void CompactWords::SetParts(uint64_t first, uint64_t count, Fill fill) {
  assert(first <= capacity_ && count <= capacity_ - first);
  for (uint64_t done = 0; done < count;) {
    const uint64_t at = first + done;
    const uint64_t n =
        std::min(count - done, block_size() - (at & block_mask_));
    const Fill part = {fill.At(done), fill.counts_up};
    if (n == block_size() && Fits(part, n)) {
      const uint64_t block = at >> block_shift_;
      if (IsSplit(block)) CountStored(block, 0, stored_in_block_[block]);
      StoreRelease(blocks_[block], Describe(part));
    } else {
      SetInBlock(at, n, part);
    }
    done += n;
  }
}

void CompactWords::SetInBlock(uint64_t first, uint64_t count, Fill fill) {
  const uint64_t block = first >> block_shift_;
  const uint64_t descriptor = Relaxed(blocks_[block]);
  if ((descriptor & kDeep) == 0) {
    if (SameCells(fill, FillOf(descriptor, 0), first & block_mask_, count)) {
      return;
    }
    SplitBlock(block);
  }
  for (uint64_t done = 0; done < count;) {
    const uint64_t at = first + done;
    const uint64_t n = std::min(count - done, leaf_size() - (at & leaf_mask_));
    const Fill part = {fill.At(done), fill.counts_up};
    if (n == leaf_size() && Fits(part, n)) {
      SetLeaf(at >> leaf_shift_, Describe(part));
    } else {
      SetInLeaf(at, n, part);
    }
    done += n;
  }
}

void CompactWords::SetInLeaf(uint64_t first, uint64_t count, Fill fill) {
  const uint64_t leaf = first >> leaf_shift_;
  const uint64_t descriptor = Relaxed(leaves_[leaf]);
  if ((descriptor & kDeep) == 0) {
    if (SameCells(fill, FillOf(descriptor, 0), first & leaf_mask_, count)) {
      return;
    }
    StoreLeaf(leaf);
  }
  for (uint64_t i = 0; i < count; ++i) {
    StoreRelaxed(area_[first + i], fill.At(i));
  }
  if (MayBeUniform(first, first + count - 1, fill)) FoldLeaf(leaf);
}

void CompactWords::SetCells(uint64_t first, absl::Span<const uint64_t> cells) {
  assert(first <= capacity_ && cells.size() <= capacity_ - first);
  while (!cells.empty()) {
    const size_t n =
        std::min<uint64_t>(cells.size(), leaf_size() - (first & leaf_mask_));
    SetCellsInLeaf(first, cells.subspan(0, n));
    first += n;
    cells.remove_prefix(n);
  }
}

void CompactWords::SetCellsInLeaf(uint64_t first,
                                  absl::Span<const uint64_t> cells) {
  const Fill fill = {cells.front(),
                     cells.size() > 1 && cells[1] != cells.front()};
  size_t same = 1;
  while (same < cells.size() && cells[same] == fill.At(same)) ++same;
  if (same == cells.size()) return SetRange(first, same, fill);
  const uint64_t block = first >> block_shift_;
  const uint64_t leaf = first >> leaf_shift_;
  if (!IsSplit(block)) SplitBlock(block);
  if (!IsStored(leaf)) StoreLeaf(leaf);
  for (size_t i = 0; i < cells.size(); ++i) {
    StoreRelaxed(area_[first + i], cells[i]);
  }
}

void CompactWords::Discard(uint64_t block) {
  assert(!IsSplit(block));
  // Whole pages only: a page at either end may hold words of a neighbouring
  // block.
  const auto discard = [](uint64_t* words, uint64_t count) {
    const auto first = reinterpret_cast<uintptr_t>(words);
    const uintptr_t begin = RoundUp(first, kMappingAlign);
    const uintptr_t end =
        (first + count * sizeof(uint64_t)) / kMappingAlign * kMappingAlign;
    if (begin >= end) return;
    madvise(reinterpret_cast<char*>(words) + (begin - first), end - begin,
            MADV_DONTNEED);
  };
  discard(leaves_ + (block << (block_shift_ - leaf_shift_)), LeavesPerBlock());
  discard(area_ + (block << block_shift_), block_size());
}

void CompactWords::SplitBlock(uint64_t block) {
  const uint64_t descriptor = Relaxed(blocks_[block]);
  const uint64_t first = block << (block_shift_ - leaf_shift_);
  for (uint64_t i = 0; i < LeavesPerBlock(); ++i) {
    StoreRelease(leaves_[first + i],
                 Describe(FillOf(descriptor, i << leaf_shift_)));
  }
  StoreRelease(blocks_[block], kDeep);
}

void CompactWords::StoreLeaf(uint64_t leaf) {
  const Fill fill = FillOf(Relaxed(leaves_[leaf]), 0);
  uint64_t* cells = area_ + (leaf << leaf_shift_);
  for (uint64_t i = 0; i < leaf_size(); ++i) StoreRelaxed(cells[i], fill.At(i));
  SetLeaf(leaf, kDeep);
}

void CompactWords::SetLeaf(uint64_t leaf, uint64_t descriptor) {
  const uint64_t block = leaf >> (block_shift_ - leaf_shift_);
  const bool was_stored = IsStored(leaf);
  const bool is_stored = descriptor == kDeep;
  // A block must stop leading past its leaf descriptors before one of its
  // leaves leads elsewhere, and may lead straight to its cells only after the
  // last of its leaves does.
  if (was_stored && !is_stored) CountStored(block, 0, 1);
  StoreRelease(leaves_[leaf], descriptor);
  if (is_stored && !was_stored) CountStored(block, 1, 0);
}

void CompactWords::CountStored(uint64_t block, uint64_t more, uint64_t fewer) {
  stored_leaves_ += more - fewer;
  uint32_t& stored = stored_in_block_[block];
  stored += static_cast<uint32_t>(more - fewer);
  const uint64_t wanted = stored == LeavesPerBlock() ? kStored : kDeep;
  if (Relaxed(blocks_[block]) != wanted) StoreRelease(blocks_[block], wanted);
}

void CompactWords::FoldLeaf(uint64_t leaf) {
  const uint64_t first = leaf << leaf_shift_;
  const uint64_t last = first + leaf_size() - 1;
  const Fill fill = {Relaxed(area_[first]),
                     Relaxed(area_[first]) != Relaxed(area_[first + 1])};
  // The last cell rules out nearly every leaf that is not uniform.
  if (Relaxed(area_[last]) != fill.At(leaf_size() - 1)) return;
  if (!Fits(fill, leaf_size())) return;
  if (RunInArea(first, last + 1).count != leaf_size()) return;
  SetLeaf(leaf, Describe(fill));
}

uint64_t CompactWords::EndOfRun(uint64_t leaf, uint64_t descriptor,
                                uint64_t limit) const {
  const uint64_t step = (descriptor & kRun) != 0 ? leaf_size() : 0;
  uint64_t end = (leaf + 1) << leaf_shift_;
  while (end < limit && (end & block_mask_) != 0) {
    descriptor += step;
    // A sum that carries into the tag is not a descriptor of this kind.
    if ((descriptor & kDeep) != 0) break;
    if (Relaxed(leaves_[end >> leaf_shift_]) != descriptor) break;
    end += leaf_size();
  }
  return end;
}

CompactWords::Run CompactWords::RunAt(uint64_t first, uint64_t limit) const {
  assert(first < limit && limit <= capacity_);
  uint64_t descriptor = Relaxed(blocks_[first >> block_shift_]);
  uint64_t offset = first & block_mask_;
  uint64_t end = first - offset + block_size();
  if ((descriptor & kDeep) != 0) {
    const uint64_t leaf = first >> leaf_shift_;
    descriptor = Relaxed(leaves_[leaf]);
    offset = first & leaf_mask_;
    if ((descriptor & kDeep) != 0) {
      end = first - offset + leaf_size();
      return RunInArea(first, std::min(end, limit));
    }
    end = EndOfRun(leaf, descriptor, limit);
  }
  Run run = {first, std::min(end, limit) - first, FillOf(descriptor, offset)};
  if (run.count == 1) run.fill.counts_up = false;
  return run;
}

}  // namespace simvisor
