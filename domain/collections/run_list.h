// The cells of one block as a short list of runs.
//
// A block of CompactWords that is cut in few places would need a page of leaf
// descriptors, and a page of cells for each cut inside a leaf; a list of runs
// needs a few words.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_COLLECTIONS_RUN_LIST_H_
#define SIMVISOR_DOMAIN_COLLECTIONS_RUN_LIST_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "domain/collections/compact_words.h"

namespace simvisor {

class RunList {
 public:
  using Fill = CompactWords::Fill;

  // `size` cells, below 2^32, filled as `fill` says.
  RunList(uint64_t size, Fill fill) : size_(size), runs_{{0, fill}} {}

  // Sets [first, first + count).
  // REQUIRES: 0 < count <= size - first.
  void Set(uint64_t first, uint64_t count, Fill fill);

  // The rest of the run at `first`, from there on, cut at `limit`; a run of one
  // cell has counts_up false.
  // REQUIRES: first < limit <= size.
  CompactWords::Run RunAt(uint64_t first, uint64_t limit) const;

  size_t runs() const { return runs_.size(); }

 private:
  // Cells from `first` to the first cell of the next piece, or to the end.
  struct Piece {
    uint32_t first;
    Fill fill;
  };

  // The index of the run that holds cell `at`.
  size_t Find(uint64_t at) const;
  uint64_t EndOf(size_t run) const {
    return run + 1 < runs_.size() ? runs_[run + 1].first : size_;
  }
  // Replaces `count` runs from `run` on with `pieces`.
  void Replace(size_t run, size_t count, absl::Span<const Piece> pieces);
  // Merges `run` with the next one if that continues it.
  void Join(size_t run);

  uint64_t size_;
  std::vector<Piece> runs_;  // ascending, never empty, the first at cell 0
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_COLLECTIONS_RUN_LIST_H_
