// Counts over a p2m list, and runs of its words.
//
// Thread safety: plain values.

#ifndef SIMVISOR_DOMAIN_P2M_P2M_SUMMARY_H_
#define SIMVISOR_DOMAIN_P2M_P2M_SUMMARY_H_

#include <cstdint>

#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor {

// Counts of the words [0, p2m_size), of the leaves and mids that hold them, and
// of the frames that the list and its tree have taken.
struct P2mSummary {
  uint64_t p2m_size = 0;
  uint64_t area_bytes = 0;  // 0 before relocation
  uint64_t ram = 0, identity = 0, missing = 0, foreign = 0;
  uint64_t private_leaves = 0, missing_leaves = 0, identity_leaves = 0;
  uint64_t private_mids = 0, missing_mids = 0, identity_mids = 0;
  uint64_t fixed_frames = 0, pte_frames = 0, tree_mid_frames = 0;
  uint64_t leaf_frames = 0;
  uint64_t page_table_frames = 0;  // above the PTE pages, with kLinear
  uint64_t tools_max_pfn = 0;

  uint64_t metadata_frames() const {
    return fixed_frames + pte_frames + tree_mid_frames;
  }
  friend bool operator==(const P2mSummary&, const P2mSummary&) = default;
};

// Which word is meant: the answer of a lookup, or the stored word.  A stored
// word of a shared leaf reads INVALID, even in the identity leaf.
enum class P2mView { kResolved, kRaw };
// Where a run ends: kByFrame where the class changes or numbers are not
// consecutive, kByClass only where the class changes.
enum class RunMerge { kByFrame, kByClass };

// Pfns of one class.  `word` is the word of the first pfn; with kByFrame the
// words of the other pfns count up from it, or are all INVALID.
struct P2mRun {
  PfnExtent pfns;
  P2mWord word;

  friend bool operator==(const P2mRun&, const P2mRun&) = default;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_P2M_SUMMARY_H_
