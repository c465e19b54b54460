// The walk of a guest's frame-list tree that Xen's saver makes.
//
// The tree hangs from pfn_to_mfn_frame_list_list: a top page (the saver's
// "fll") names mid pages ("fl"), a mid page names leaves, a leaf holds p2m
// words.  Everything is read by mfn, and the checks are those of the saver in
// its order: reach of the tree, range of the root, range of the mids' mfns,
// trim of equal trailing mids, range of the leaves' mfns, and for each leaf
// m2p[leaf] <= max_pfn and p2m[m2p[leaf]] = leaf.  A frame of the machine is
// one with 0 < mfn <= max_mfn, which lets one mfn too many pass, as Xen does.
//
// Leaves are read in batches and each distinct one once, so that memory grows
// with the number of leaves, not of words.
//
// Thread safety: pure but for its FrameReader and its progress function.

#ifndef SIMVISOR_CLIENT_WALK_P2M_WALK_H_
#define SIMVISOR_CLIENT_WALK_P2M_WALK_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "client/walk/frame_reader.h"
#include "client/walk/word_page.h"

namespace simvisor::client {

// Where the tree begins and how it is made (GetMfnListList).
struct P2mRoot {
  uint64_t root_mfn = 0;
  uint64_t max_pfn = 0;  // a count of pfns, as shared info has it
  uint64_t max_mfn = 0;  // one past the last frame of the machine
  uint32_t words_per_page = 512;
  uint32_t word_bytes = 8;
};

// What a walk has found.
struct P2mWalk {
  uint64_t max_pfn = 0;          // last pfn, before the trim
  uint64_t trimmed_max_pfn = 0;  // last pfn, after it
  uint64_t top_entries = 0;      // entries of the top page that were checked
  uint64_t mid_pages = 0;        // distinct mid pages
  uint64_t leaf_entries = 0;     // entries of the mids that were checked
  uint64_t leaf_pages = 0;       // distinct leaves
  uint64_t frames_read = 0;
  uint64_t checks = 0;  // single comparisons that held
  WordCounts words;     // of pfns 0 to trimmed_max_pfn
};

// Called with leaves read and leaves to read.
using WalkProgress = absl::FunctionRef<void(uint64_t done, uint64_t total)>;

// Walks the tree.
//
// The first check that does not hold ends the walk with FAILED_PRECONDITION and
// a message that gives the saver's name of the fault and the numbers; an error
// of `reader` ends it as well.  INVALID_ARGUMENT if `root` describes words that
// no guest has.
absl::StatusOr<P2mWalk> WalkP2m(const P2mRoot& root, FrameReader& reader,
                                WalkProgress progress);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_WALK_P2M_WALK_H_
