// The boot of a PV guest, as far as memory goes.
//
// Takes the p2m list of a domain builder, ours or another, through what a
// kernel does from its first instruction until it publishes its list for tools
// (p2m.md A3): adds room to balloon, marks identity ranges, relocates the list,
// builds the tree, and places the frames under holes at their new pfns.
//
// Thread safety: thread-compatible, as the list is.

#ifndef SIMVISOR_DOMAIN_GUEST_GUEST_BOOT_H_
#define SIMVISOR_DOMAIN_GUEST_GUEST_BOOT_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "base/allocation_faults.h"
#include "domain/guest/memory_setup.h"
#include "domain/p2m/builder_list.h"
#include "domain/p2m/change_permit.h"
#include "domain/p2m/p2m_list.h"
#include "domain/p2m/p2m_options.h"
#include "domain/p2m/page_source.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor {

struct BootResult {
  struct MovedFrames {
    Pfn first;  // where the first of the frames is now
    MfnExtent frames;
  };
  std::unique_ptr<P2mList> list;
  // Frames that moved out from under holes; their m2p entries must follow.
  std::vector<MovedFrames> moved;
  // Frames that the guest gave back; the domain must free them.
  std::vector<MfnExtent> released;
};

// Pages of its own that a guest with nr_pages pages needs to boot: the
// builder's list and all that BootGuest() takes, including the tree.  A guest
// that has fewer stops before its memory allocator is up.
// RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED; see CompactWords for
// `faults`.
absl::StatusOr<PageCount> PagesToBoot(const Abi& abi, PageCount nr_pages,
                                      const MemorySetup& setup, Pfn area_limit,
                                      const P2mOptions& options = {},
                                      AllocationFaults* faults = nullptr);

// Boots from the builder's list.
//
// FAILED_PRECONDITION PAGE_IN_USE_BY_KERNEL if the list lies under a hole of
// the guest's map, or in pages that the guest gives back.  The list of our
// builder never does; a real kernel moves such a list (xen_relocate_p2m()),
// this kernel does not.
// RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED if `source` runs dry; it cannot if
// it had PagesToBoot() pages before the list was built.  Consumes `built`,
// except after FAILED_PRECONDITION, which leaves it as it was.
absl::StatusOr<BootResult> BootGuest(const ChangePermit& permit,
                                     BuilderList&& built,
                                     const MemorySetup& setup,
                                     const P2mOptions& options, Pfn area_limit,
                                     PageSource& source);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_GUEST_BOOT_H_
