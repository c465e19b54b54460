// Walks a guest's p2m list as Xen's saver does.
//
// The leaves, which hold the words, are found in one of two ways.  The tree
// begins at pfn_to_mfn_frame_list_list: a top page (the saver's "fll") names
// mid pages ("fl"), and a mid page names leaves.  If the guest provides
// p2m_cr3, the page tables under it are walked for the list at p2m_vaddr
// instead.
//
// Everything is read by mfn, and the checks are the saver's, in its order.
// Tree: its reach, range of the root, range of the mids' mfns, trim of equal
// trailing mids, range of the leaves' mfns.  Page tables: range of the root and
// of the addresses, range of every entry's mfn, trim of equal trailing entries
// at level 2.  Then for each leaf m2p[leaf] <= max_pfn and p2m[m2p[leaf]] =
// leaf.  An mfn is in range if 0 < mfn <= max_mfn, which accepts one mfn too
// many, as Xen does.
//
// Leaves are read in batches, and each distinct leaf once, so memory grows with
// the number of leaves, not of words.
//
// Thread safety: pure except for its FrameReader and its progress function.

#ifndef SIMVISOR_CLIENT_WALK_P2M_WALK_H_
#define SIMVISOR_CLIENT_WALK_P2M_WALK_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "client/walk/frame_reader.h"
#include "client/walk/word_page.h"

namespace simvisor::client {

// Where the tree or the list begins, and its format (GetMfnListList).
struct P2mRoot {
  uint64_t root_mfn = 0;
  uint64_t p2m_cr3 = 0;  // 0: walk the tree
  uint64_t p2m_vaddr = 0;
  uint64_t max_pfn = 0;  // a count of pfns, as in shared info
  uint64_t max_mfn = 0;  // one past the last frame of the machine
  uint32_t words_per_page = 512;
  uint32_t word_bytes = 8;
};

// The results of a walk.
struct P2mWalk {
  uint64_t max_pfn = 0;          // last pfn, before the trim
  uint64_t trimmed_max_pfn = 0;  // last pfn, after the trim
  uint64_t top_entries = 0;      // checked entries of the top page
  uint64_t mid_pages = 0;        // distinct mid pages
  uint64_t table_pages = 0;      // distinct page tables, above the leaves
  uint64_t table_entries = 0;    // checked entries of the page tables
  uint64_t leaf_entries = 0;     // leaves, counted as often as they are named
  uint64_t leaf_pages = 0;       // distinct leaves
  uint64_t frames_read = 0;
  uint64_t checks = 0;  // comparisons that held
  WordCounts words;     // of pfns 0 to trimmed_max_pfn
};

// Called with the number of leaves read so far, and of all leaves.
using WalkProgress = absl::FunctionRef<void(uint64_t done, uint64_t total)>;

// Walks the list.
//
// The first check that fails ends the walk with FAILED_PRECONDITION and a
// message with the saver's name for the fault and the numbers; an error of
// `reader` ends it as well.  INVALID_ARGUMENT if `root` describes words that no
// guest has.
absl::StatusOr<P2mWalk> WalkP2m(const P2mRoot& root, FrameReader& reader,
                                WalkProgress progress);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_WALK_P2M_WALK_H_
