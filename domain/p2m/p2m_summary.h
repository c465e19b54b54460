// Counts over a p2m list, and runs of its words.
//
// Thread safety: plain values.

#ifndef SIMVISOR_DOMAIN_P2M_P2M_SUMMARY_H_
#define SIMVISOR_DOMAIN_P2M_P2M_SUMMARY_H_

#include <cstdint>

#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor {

// All counts are of the words [0, p2m_size), the leaves and mids that hold
// them, and the frames that the list and its tree have taken.
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

// Which word counts: what a lookup answers, or what is stored, where every
// shared leaf, the identity one too, reads INVALID.
enum class P2mView { kResolved, kRaw };
// Where a run ends: where class or contiguity of numbers ends, or class alone.
enum class RunMerge { kByFrame, kByClass };

// Pfns of one class; `word` is that of the first pfn, and with kByFrame the
// others follow it (or are INVALID).
struct P2mRun {
  PfnExtent pfns;
  P2mWord word;

  friend bool operator==(const P2mRun&, const P2mRun&) = default;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_P2M_SUMMARY_H_
