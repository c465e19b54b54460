// One 64-bit cell per frame, as long runs, short lists of runs, or one by one.
//
// CompactWords, with one more representation for blocks that are cut in few
// places: a RunList.  Domains seldom begin where a block or a leaf does, so a
// machine full of contiguous domains has such a cut for each of them, which
// costs some words here and two pages there.  A block that is cut in more
// places is split for good, until it is set as a whole; what it stored goes
// back to the system then.
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

  // Runs of a block that are worth a list; more are kept one by one.
  static constexpr size_t kMaxRuns = 128;

  // `size` zero cells; parameters and errors as those of CompactWords.
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

  // As those of CompactWords.
  Run RunAt(uint64_t first, uint64_t limit) const;
  Run MaximalRunAt(uint64_t first, uint64_t limit) const;

  // As those of CompactWords.
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
  // Keeps the cells of a block one by one that had a list.
  void Split(uint64_t block);

  CompactWords words_;
  int block_shift_;
  uint64_t block_mask_;
  // Per block, which is not split then; what `words_` holds there is stale.
  std::vector<std::unique_ptr<RunList>> lists_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_FRAME_CELLS_H_
