// How a p2m list is shown to tools, and how it represents unused room.
//
// Thread safety: plain values.

#ifndef SIMVISOR_DOMAIN_P2M_P2M_OPTIONS_H_
#define SIMVISOR_DOMAIN_P2M_P2M_OPTIONS_H_

#include <cstdint>

#include "domain/units/units.h"

namespace simvisor {

// What tools are told of the list: the tree of frames, or the page tables that
// map the list (start_info flag SIF_VIRT_P2M_4TOOLS; there is no tree then).
enum class ToolsView { kTree, kLinear };

// What becomes of room to balloon at relocation (A7).  kFaithful: each pfn is
// set INVALID as Linux does, which makes its leaf private.  kCompact: leaves of
// nothing but room are the shared missing leaf.  Lookups are the same.
enum class BalloonRoom { kFaithful, kCompact };

struct P2mOptions {
  ToolsView tools_view = ToolsView::kTree;
  BalloonRoom balloon_room = BalloonRoom::kFaithful;
};

// What shared info tells tools (B1): p2m_cr3 and p2m_vaddr with kLinear, else
// 0; pfn_to_mfn_frame_list_list with kTree, else None(), all ones.
struct ToolsRoot {
  ToolsView view = ToolsView::kTree;
  Mfn root;
  uint64_t p2m_cr3 = 0;
  uint64_t p2m_vaddr = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_P2M_OPTIONS_H_
