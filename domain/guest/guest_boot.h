// The boot of a PV guest, as far as its memory goes.
//
// Replays, on the p2m list that a domain builder has left, ours or another,
// what a kernel does between its first instruction and the publication of its
// list for tools (A3): room to balloon, identity ranges, relocation, tree, and
// the frames under holes placed at their new pfns.
//
// Thread safety: as the list it works on.

#ifndef SIMVISOR_DOMAIN_GUEST_GUEST_BOOT_H_
#define SIMVISOR_DOMAIN_GUEST_GUEST_BOOT_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "base/allocation_faults.h"
#include "domain/guest/memory_setup.h"
#include "domain/p2m/builder_list.h"
#include "domain/p2m/p2m_list.h"
#include "domain/p2m/p2m_options.h"
#include "domain/p2m/page_source.h"

namespace simvisor {

struct BootResult {
  struct MovedFrames {
    Pfn first;  // where the frames answer now
    MfnExtent frames;
  };
  std::unique_ptr<P2mList> list;
  // Frames that moved out from under holes; their m2p entries must follow.
  std::vector<MovedFrames> moved;
  // Frames that the guest gave back; the domain must free them.
  std::vector<MfnExtent> released;
};

// Pages of its own that a guest with nr_pages pages needs to boot: the
// builder's list and all that BootGuest() takes, the tree included.  A
// guest that has fewer stops before it has a memory allocator.
// RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED; see CompactWords for
// `faults`.
absl::StatusOr<PageCount> PagesToBoot(const Abi& abi, PageCount nr_pages,
                                      const MemorySetup& setup, Pfn area_limit,
                                      const P2mOptions& options = {},
                                      AllocationFaults* faults = nullptr);

// Boots.
//
// FAILED_PRECONDITION PAGE_IN_USE_BY_KERNEL if the list lies under a hole of
// the guest's map, or in pages that it gives back: ours never does, and this
// kernel does not move it as xen_relocate_p2m() would.
// RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED if `source` runs dry; it does not
// if it held PagesToBoot() before the list was built.  Takes `built`, except
// after FAILED_PRECONDITION, which leaves it as it was.
absl::StatusOr<BootResult> BootGuest(BuilderList&& built,
                                     const MemorySetup& setup,
                                     const P2mOptions& options, Pfn area_limit,
                                     PageSource& source);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_GUEST_BOOT_H_
