// One 64-bit cell per frame, as long runs, short lists of runs, or one by one.
//
// CompactWords plus one more representation, a RunList, for blocks that are cut
// in few places.  Domains rarely begin on a block or leaf boundary, so a
// machine full of contiguous domains has such a cut for each of them; a cut
// costs a few words here and two pages in CompactWords.  A block that is cut in
// more places is split until it is set as a whole; its stored cells then go
// back to the system.
//
// Thread safety: thread-compatible; FramePool serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_FRAMES_FRAME_CELLS_H_
#define SIMVISOR_DOMAIN_FRAMES_FRAME_CELLS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/allocation_faults.h"
#include "domain/collections/compact_words.h"
#include "domain/collections/run_list.h"

namespace simvisor {

class FrameCells {
 public:
  using Fill = CompactWords::Fill;
  using Run = CompactWords::Run;

  // The most runs that a list holds; a block with more keeps its cells one by
  // one.
  static constexpr size_t kMaxRuns = 128;

  // `size` zero cells; parameters and errors as for CompactWords.
  static absl::StatusOr<FrameCells> Create(uint64_t size, int leaf_shift,
                                           int block_shift,
                                           AllocationFaults* faults);

  uint64_t capacity() const { return words_.capacity(); }

  // REQUIRES: first + count <= capacity().
  void SetRange(uint64_t first, uint64_t count, Fill fill) {
    // Fragmented memory is set frame by frame.
    if (count == 1 && words_.SetStored(first, fill.first)) return;
    SetParts(first, count, fill);
  }

  // As in CompactWords.
  Run RunAt(uint64_t first, uint64_t limit) const;
  Run MaximalRunAt(uint64_t first, uint64_t limit) const;

  // As in CompactWords.
  uint64_t* OpenLeaf(uint64_t leaf) { return words_.OpenLeaf(leaf); }
  void CloseLeaf(uint64_t leaf, uint64_t last) { words_.CloseLeaf(leaf, last); }
  void Prefetch(uint64_t index) const { words_.Prefetch(index); }

  // Whether the cells of a block are kept one by one.
  bool IsSplit(uint64_t block) const { return words_.IsSplit(block); }

 private:
  FrameCells(CompactWords words, int block_shift);

  void SetParts(uint64_t first, uint64_t count, Fill fill);
  void SetInBlock(uint64_t first, uint64_t count, Fill fill);
  void SetBlock(uint64_t block, Fill fill);
  // Replaces the list of a block with cells kept one by one.
  void Split(uint64_t block);

  CompactWords words_;
  int block_shift_;
  uint64_t block_mask_;
  // The list of each block that has one.  Such a block is not split, and its
  // cells in `words_` are stale.
  std::vector<std::unique_ptr<RunList>> lists_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_FRAME_CELLS_H_
