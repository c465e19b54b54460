// The cells of one block as a short list of runs.
//
// A block of CompactWords that is cut in few places would have a page of leaf
// descriptors, and one of cells for each cut within a leaf, where a few words
// say all there is to say.
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

  // Sets [first, first + count).  REQUIRES: 0 < count <= size - first.
  void Set(uint64_t first, uint64_t count, Fill fill);

  // What is left from `first` on of the run that it is in, cut at `limit`; a
  // run of one cell has counts_up false.  REQUIRES: first < limit <= size.
  CompactWords::Run RunAt(uint64_t first, uint64_t limit) const;

  size_t runs() const { return runs_.size(); }

 private:
  // Cells from `first` to the next one's first, or to the end.
  struct Piece {
    uint32_t first;
    Fill fill;
  };

  // The run that cell `at` is in.
  size_t Find(uint64_t at) const;
  uint64_t EndOf(size_t run) const {
    return run + 1 < runs_.size() ? runs_[run + 1].first : size_;
  }
  // Puts `pieces` in the place of `count` runs.
  void Replace(size_t run, size_t count, absl::Span<const Piece> pieces);
  // Makes one of `run` and the next if that goes on as it does.
  void Join(size_t run);

  uint64_t size_;
  std::vector<Piece> runs_;  // ascending, never empty, the first from 0
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_COLLECTIONS_RUN_LIST_H_
