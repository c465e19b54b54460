// The two ways in which Xen's saver finds the leaves of a p2m list.
//
// Both return the mfns of the leaves by index, for pfns 0 to
// walk.trimmed_max_pfn, and add to the counts in `walk`.  The first check that
// fails is returned as FAILED_PRECONDITION.
//
// Thread safety: pure except for the FrameReader.

#ifndef SIMVISOR_CLIENT_WALK_LEAF_LIST_H_
#define SIMVISOR_CLIENT_WALK_LEAF_LIST_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "client/walk/frame_reader.h"
#include "client/walk/p2m_walk.h"

namespace simvisor::client {

// From pfn_to_mfn_frame_list_list (map_p2m_tree()).
absl::StatusOr<std::vector<uint64_t>> LeavesByTree(const P2mRoot& root,
                                                   FrameReader& reader,
                                                   P2mWalk& walk);

// From p2m_cr3 and p2m_vaddr (map_p2m_list()).
absl::StatusOr<std::vector<uint64_t>> LeavesByPageTables(const P2mRoot& root,
                                                         FrameReader& reader,
                                                         P2mWalk& walk);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_WALK_LEAF_LIST_H_
