// A sparse array of 64-bit cells that stores only the cells that it must.
//
// The array is cut into blocks, and blocks into leaves.  A block or leaf whose
// cells all hold the same value, or values that count up by one, is a single
// 8-byte descriptor; any other leaf stores its cells, in a linear area at an
// index-computed address.  A new array is all zero.
//
//   blocks_[i >> block_shift]   kSame / kRun / kDeep / kStored
//   leaves_[i >> leaf_shift]    kSame / kRun / kDeep      if the block is kDeep
//   area_[i]                    the cell                  if the leaf is kDeep,
//                                                     or the block is kStored
//
// A block is kStored while all its leaves store their cells, so in fragmented
// memory a lookup reads one descriptor, which stays in the cache.
//
// leaves_ and area_ lie in one sparse mapping, as do blocks_ with a count for
// each unless there are few of them.  So address space is taken up front and
// memory when it is written: an array costs what its cells need, whatever its
// capacity.
//
// A descriptor is the first cell of its block or leaf plus a tag in bits 58 and
// 59.  Cells that have one of those bits set, or would reach them by counting
// up, are therefore always stored.
//
// Thread safety: Get() may be called from any thread at any time, without a
// lock, except during Discard() and between OpenLeaf() and CloseLeaf(); all
// other methods need external synchronisation among themselves.  Get() may
// overlap a writer; it then returns a value that the cell held at some moment
// between call and return:
//   (1) every descriptor and cell is one atomic 64-bit word;
//   (2) a leaf's cells (or a block's leaf descriptors) are written in full
//       before the descriptor that leads to them is stored with release order,
//       and Get() loads descriptors with acquire order, so a reader that
//       follows a descriptor sees at least what was written before it.  A block
//       leads straight to its cells only after each of its leaves does, and
//       leads to its leaves again before one of them stops doing so;
//   (3) blocks_, leaves_ and area_ do not move and are not given back or
//       cleared while the array lives, except by Discard();
//   (4) whatever is written below a descriptor that leads nowhere, and so
//       leaves it stale, is what the cells hold at that moment.  A reader that
//       was led there before finds either that, or what was there when the
//       leading descriptor was replaced, which happened during its call.
// A reader that sees kSame or kRun uses only that descriptor, so it never mixes
// two states.  On processors that keep loads in order, such as x86, a thread
// never sees time go backwards: its second call follows the same descriptors or
// newer ones, since each is a single atomic word, and (2) and (4) hold for it
// again.
//
// Destroying or moving the array while Get() runs is not safe: threads that
// share it must share ownership, as callers own a Domain and with it its list.

#ifndef SIMVISOR_DOMAIN_COLLECTIONS_COMPACT_WORDS_H_
#define SIMVISOR_DOMAIN_COLLECTIONS_COMPACT_WORDS_H_

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/allocation_faults.h"
#include "domain/collections/mapping_budget.h"

namespace simvisor {

class CompactWords {
 public:
  // How a range of cells is filled: all `first`, or first, first + 1, ...
  struct Fill {
    uint64_t first = 0;
    bool counts_up = false;

    uint64_t At(uint64_t offset) const {
      return counts_up ? first + offset : first;
    }
    friend bool operator==(const Fill&, const Fill&) = default;
  };
  // Cells [first, first + count) filled as `fill` says.
  struct Run {
    uint64_t first = 0;
    uint64_t count = 0;
    Fill fill;
  };

  // Reserves address space for `size` zero cells, rounded up to whole blocks of
  // 1 << block_shift cells with leaves of 1 << leaf_shift.
  //
  // RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED; see MappingBudget::Map().
  static absl::StatusOr<CompactWords> Create(
      uint64_t size, int leaf_shift, int block_shift,
      AllocationFaults* faults = nullptr);

  CompactWords(CompactWords&&) noexcept = default;
  CompactWords& operator=(CompactWords&&) noexcept = default;

  // The number of cells that can be addressed.
  uint64_t capacity() const { return capacity_; }
  uint64_t leaf_size() const { return uint64_t{1} << leaf_shift_; }
  uint64_t block_size() const { return uint64_t{1} << block_shift_; }

  // Looks cells up with copies of the fields it needs: after an acquiring load
  // the compiler must reload everything that another thread might have changed,
  // and the fewer instructions a lookup takes, the more independent lookups the
  // processor overlaps.
  // REQUIRES: the array is not moved or destroyed while the Reader is used.
  class Reader {
   public:
    // The cell at `index`.
    // REQUIRES: index < capacity().
    uint64_t Get(uint64_t index) const {
      uint64_t d = Acquire(blocks_[index >> block_shift_]);
      // Likely among the lookups that take time.
      if (d == kStored) [[likely]] {
        return Relaxed(area_[index]);
      }
      uint64_t offset = index & block_mask_;
      if ((d & kDeep) != 0) {
        d = Acquire(leaves_[index >> leaf_shift_]);
        if (d == kDeep) return Relaxed(area_[index]);
        offset = index & leaf_mask_;
      }
      return (d & ~kTagMask) + ((d & kRun) != 0 ? offset : 0);
    }

   private:
    friend class CompactWords;
    explicit Reader(const CompactWords& words)
        : blocks_(words.blocks_),
          leaves_(words.leaves_),
          area_(words.area_),
          leaf_shift_(words.leaf_shift_),
          block_shift_(words.block_shift_),
          leaf_mask_(words.leaf_mask_),
          block_mask_(words.block_mask_) {}

    uint64_t* blocks_;
    uint64_t* leaves_;
    uint64_t* area_;
    int leaf_shift_;
    int block_shift_;
    uint64_t leaf_mask_;
    uint64_t block_mask_;
  };
  Reader reader() const { return Reader(*this); }

  // The cell at `index`.
  // REQUIRES: index < capacity().
  uint64_t Get(uint64_t index) const {
    assert(index < capacity_);
    return reader().Get(index);
  }

  // Sets one cell.
  // REQUIRES: index < capacity().
  void Set(uint64_t index, uint64_t cell);

  // Sets [first, first + count).  Whole blocks and leaves become descriptors; a
  // leaf that is set in part and ends up uniform is folded into a descriptor
  // again.
  // REQUIRES: first + count <= capacity().
  void SetRange(uint64_t first, uint64_t count, Fill fill) {
    // Fast path for fragmented memory.
    if (count == 1 && SetStored(first, fill.first)) return;
    SetParts(first, count, fill);
  }

  // If the leaf of `index` stores its cells, sets the cell and returns true;
  // else returns false.
  // REQUIRES: index < capacity().
  bool SetStored(uint64_t index, uint64_t cell) {
    assert(index < capacity_);
    const uint64_t leaf = index >> leaf_shift_;
    if (!IsSplit(index >> block_shift_) || !IsStored(leaf)) return false;
    StoreRelaxed(area_[index], cell);
    if (MayBeUniform(index, index, {cell, false})) FoldLeaf(leaf);
    return true;
  }

  // Sets cells one by one from `first` on, each as SetRange() does.
  // REQUIRES: first + cells.size() <= capacity().
  void SetCells(uint64_t first, absl::Span<const uint64_t> cells);

  // The longest run that starts at `first`, cut at `limit`, at the end of the
  // block, and where cells that are stored meet others (so adjacent results may
  // belong together).  A run of one cell has counts_up false.
  // REQUIRES: first < limit <= capacity().
  Run RunAt(uint64_t first, uint64_t limit) const;

  // Like RunAt(), but continues across block and leaf boundaries while the
  // cells continue the run.  If the first two cells are equal, it is a run of
  // equal cells.
  Run MaximalRunAt(uint64_t first, uint64_t limit) const {
    return MaximalRun(*this, first, limit);
  }
  // The same for any type that has a RunAt().
  template <typename Cells>
  static Run MaximalRun(const Cells& cells, uint64_t first, uint64_t limit);

  // Calls visit(Run) for the runs of RunAt() that make up [first, limit).
  // `visit` returns how many cells of the run it consumes, and the next run
  // begins after them; 0 stops the loop.
  // REQUIRES: as for RunAt().
  template <typename Visit>
  void ForEachRun(uint64_t first, uint64_t limit, Visit visit) const;

  // Whether a block is split into leaves: its cells are not a single run.
  bool IsSplit(uint64_t block) const {
    return (Relaxed(blocks_[block]) & kDeep) != 0;
  }
  // Returns the memory of an unsplit block to the system.
  // REQUIRES: no Get() runs meanwhile; this is the exception in (3) above.
  void Discard(uint64_t block);

  // The cells of a leaf, for the caller to write directly; call CloseLeaf()
  // next, with the index of the cell written last.
  // REQUIRES: the block is split; no Get() runs meanwhile.
  uint64_t* OpenLeaf(uint64_t leaf) {
    assert(IsSplit((leaf << leaf_shift_) >> block_shift_));
    if (!IsStored(leaf)) StoreLeaf(leaf);
    return area_ + (leaf << leaf_shift_);
  }
  void CloseLeaf(uint64_t leaf, uint64_t last) {
    if (MayBeUniform(last, last, {Relaxed(area_[last]), false})) FoldLeaf(leaf);
  }

  // Prefetches the stored cell at `index`, which the caller is about to set.
  // REQUIRES: index < capacity().
  void Prefetch(uint64_t index) const {
    assert(index < capacity_);
    __builtin_prefetch(area_ + index, 1);
  }

  // How many leaves store their cells; for tests and statistics.
  uint64_t stored_leaves() const { return stored_leaves_; }

 private:
  static constexpr uint64_t kRun = uint64_t{1} << 58;
  static constexpr uint64_t kDeep = uint64_t{1} << 59;
  static constexpr uint64_t kStored = kRun | kDeep;
  static constexpr uint64_t kTagMask = kRun | kDeep;

  static uint64_t Acquire(uint64_t& word) {
    return std::atomic_ref<uint64_t>(word).load(std::memory_order_acquire);
  }
  static uint64_t Relaxed(uint64_t& word) {
    return std::atomic_ref<uint64_t>(word).load(std::memory_order_relaxed);
  }
  static void StoreRelaxed(uint64_t& word, uint64_t value) {
    std::atomic_ref<uint64_t>(word).store(value, std::memory_order_relaxed);
  }
  static void StoreRelease(uint64_t& word, uint64_t value) {
    std::atomic_ref<uint64_t>(word).store(value, std::memory_order_release);
  }

  // Where the parts lie in the mapping.
  struct Layout;

  CompactWords(MappingBudget::Mapping mapping, const Layout& layout,
               uint64_t capacity, int leaf_shift, int block_shift);

  // Whether `count` cells of `fill` fit into one descriptor; that descriptor;
  // and the fill that a descriptor stands for from `offset` on.
  static bool Fits(Fill fill, uint64_t count);
  static uint64_t Describe(Fill fill);
  static Fill FillOf(uint64_t descriptor, uint64_t offset);

  bool IsStored(uint64_t leaf) const { return Relaxed(leaves_[leaf]) == kDeep; }
  // Given that cells [first, last] of a stored leaf are filled as `fill` says,
  // whether their neighbours still allow the whole leaf to be uniform.
  bool MayBeUniform(uint64_t first, uint64_t last, Fill fill) const {
    const bool one = first == last;
    if ((first & leaf_mask_) != 0 &&
        !Follows(Relaxed(area_[first - 1]), fill.first, one, fill.counts_up)) {
      return false;
    }
    return ((last + 1) & leaf_mask_) == 0 ||
           Follows(fill.At(last - first), Relaxed(area_[last + 1]), one,
                   fill.counts_up);
  }
  static bool Follows(uint64_t cell, uint64_t next, bool either,
                      bool counts_up) {
    return either ? next - cell <= 1 : next - cell == (counts_up ? 1 : 0);
  }

  uint64_t LeavesPerBlock() const { return block_size() >> leaf_shift_; }

  // Where the run of `leaf`, which has that descriptor, ends: the leaves after
  // it may continue it.  Stops at the end of the block, and at or after
  // `limit`.
  uint64_t EndOfRun(uint64_t leaf, uint64_t descriptor, uint64_t limit) const;

  void SetParts(uint64_t first, uint64_t count, Fill fill);
  void SetCellsInLeaf(uint64_t first, absl::Span<const uint64_t> cells);
  void SplitBlock(uint64_t block);
  void StoreLeaf(uint64_t leaf);
  void FoldLeaf(uint64_t leaf);
  void SetLeaf(uint64_t leaf, uint64_t descriptor);
  // Adjusts how many leaves of a block store their cells.
  void CountStored(uint64_t block, uint64_t more, uint64_t fewer);
  void SetInBlock(uint64_t first, uint64_t count, Fill fill);
  void SetInLeaf(uint64_t first, uint64_t count, Fill fill);
  Run RunInArea(uint64_t first, uint64_t end) const {
    Run run = {first, 1, {Relaxed(area_[first]), false}};
    if (first + 1 == end) return run;
    const uint64_t second = Relaxed(area_[first + 1]);
    if (second != run.fill.first && second != run.fill.first + 1) return run;
    run.fill.counts_up = second != run.fill.first;
    while (first + run.count < end &&
           Relaxed(area_[first + run.count]) == run.fill.At(run.count)) {
      ++run.count;
    }
    return run;
  }

  MappingBudget::Mapping mapping_;
  uint64_t capacity_;
  int leaf_shift_;
  int block_shift_;
  uint64_t leaf_mask_;
  uint64_t block_mask_;
  std::unique_ptr<uint64_t[]> few_blocks_;  // with their counts; may be null
  uint64_t* blocks_;                        // in few_blocks_ or in mapping_
  // For each split block, how many of its leaves store their cells.
  uint32_t* stored_in_block_;  // after blocks_
  uint64_t* leaves_;           // in mapping_
  uint64_t* area_;             // in mapping_
  uint64_t stored_leaves_ = 0;
};

template <typename Cells>
CompactWords::Run CompactWords::MaximalRun(const Cells& cells, uint64_t first,
                                           uint64_t limit) {
  Run run = cells.RunAt(first, limit);
  while (first + run.count < limit) {
    const Run next = cells.RunAt(first + run.count, limit);
    if (run.count == 1) {
      if (next.fill.first == run.fill.first + 1) {
        run.fill.counts_up = true;
      } else if (next.fill.first != run.fill.first) {
        break;
      }
    } else if (next.fill.first != run.fill.At(run.count)) {
      break;
    }
    if (next.count > 1 && next.fill.counts_up != run.fill.counts_up) {
      ++run.count;  // only the first cell of `next` continues the run
      break;
    }
    run.count += next.count;
  }
  return run;
}

template <typename Visit>
void CompactWords::ForEachRun(uint64_t first, uint64_t limit,
                              Visit visit) const {
  while (first < limit) {
    const uint64_t leaf = first >> leaf_shift_;
    if (!IsSplit(first >> block_shift_) || !IsStored(leaf)) {
      const uint64_t taken = visit(RunAt(first, limit));
      if (taken == 0) return;
      first += taken;
      continue;
    }
    const uint64_t end = std::min(limit, (leaf + 1) << leaf_shift_);
    while (first < end) {
      const uint64_t taken = visit(RunInArea(first, end));
      if (taken == 0) return;
      first += taken;
    }
  }
}

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_COLLECTIONS_COMPACT_WORDS_H_
