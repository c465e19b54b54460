// The three-level p2m tree that Linux had before its linear list (up to 3.18).
//
// A top page of mids, a mid page of leaves, a leaf of words, 512 of each, which
// covers 512 GiB at most.  Empty parts share mids and leaves: a missing leaf of
// INVALID words, and an identity leaf, whose lookups answer without reading
// it.  Leaves lie in memory in a shuffled order, as in a heap that has
// been in use for a while.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_BENCH_BASELINES_THREE_LEVEL_TREE_H_
#define SIMVISOR_BENCH_BASELINES_THREE_LEVEL_TREE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "bench/baselines/word_array.h"

namespace simvisor::bench {

class ThreeLevelTree {
 public:
  static constexpr uint64_t kPerPage = 512;
  static constexpr uint64_t kMaxPfn = kPerPage * kPerPage * kPerPage;
  static constexpr uint64_t kInvalid = ~uint64_t{0};
  static constexpr uint64_t kIdentityBit = uint64_t{1} << 62;

  // `pages` words in private leaves, all INVALID; everything after them is
  // missing.
  // REQUIRES: `pages` is a multiple of 512 and at most kMaxPfn.
  explicit ThreeLevelTree(uint64_t pages);

  // REQUIRES: pfn < `pages` of the constructor.
  void Set(uint64_t pfn, uint64_t word) { LeafOf(pfn)[pfn % kPerPage] = word; }
  // Makes the leaves that cover [first, end) shared identity leaves.
  void ShareIdentity(uint64_t first, uint64_t end);

  // get_phys_to_machine() as of Linux 3.18.
  uint64_t Lookup(uint64_t pfn) const {
    if (pfn >= kMaxPfn) return pfn | kIdentityBit;
    const uint64_t* const leaf = LeafOf(pfn);
    if (leaf == identity_leaf_) return pfn | kIdentityBit;
    return leaf[pfn % kPerPage];
  }

 private:
  using Mid = std::array<uint64_t*, kPerPage>;

  uint64_t* LeafOf(uint64_t pfn) const {
    return (*top_[pfn / (kPerPage * kPerPage)])[pfn / kPerPage % kPerPage];
  }
  Mid& OwnMid(uint64_t pfn);

  std::array<Mid*, kPerPage> top_;
  std::vector<std::unique_ptr<Mid>> mids_;
  Mid missing_mid_;
  WordArray words_;  // the leaves: missing, identity, then the private ones
  uint64_t* missing_leaf_;
  uint64_t* identity_leaf_;
};

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_BASELINES_THREE_LEVEL_TREE_H_
