// How tools find a p2m list, and how the list represents unused room.
//
// Thread safety: plain values.

#ifndef SIMVISOR_DOMAIN_P2M_P2M_OPTIONS_H_
#define SIMVISOR_DOMAIN_P2M_P2M_OPTIONS_H_

#include <cstdint>

#include "domain/units/units.h"

namespace simvisor {

// How tools find the list: through the tree of frame lists, or through the page
// tables that map the list (start_info flag SIF_VIRT_P2M_4TOOLS), without a
// tree.
enum class ToolsView { kTree, kLinear };

// What relocation does with room to balloon (p2m.md A7).  kFaithful: it sets
// each pfn INVALID as Linux does, which makes the leaf private.  kCompact:
// leaves that hold only room share the missing leaf.  Lookups are the same.
enum class BalloonRoom { kFaithful, kCompact };

struct P2mOptions {
  ToolsView tools_view = ToolsView::kTree;
  BalloonRoom balloon_room = BalloonRoom::kFaithful;
};

// What shared info tells tools (p2m.md B1): p2m_cr3 and p2m_vaddr with kLinear,
// otherwise 0; pfn_to_mfn_frame_list_list with kTree, otherwise None(), which
// is all ones.
struct ToolsRoot {
  ToolsView view = ToolsView::kTree;
  Mfn root;
  uint64_t p2m_cr3 = 0;
  uint64_t p2m_vaddr = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_P2M_OPTIONS_H_
