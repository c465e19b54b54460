// What a domain is built from, and what it shows about itself.
//
// Thread safety: plain values.

#ifndef SIMVISOR_DOMAIN_VM_DOMAIN_TYPES_H_
#define SIMVISOR_DOMAIN_VM_DOMAIN_TYPES_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/uuid.h"
#include "domain/balloon/balloon_policy.h"
#include "domain/cpus/vcpu_affinities.h"
#include "domain/e820/e820.h"
#include "domain/guest/guest_config.h"
#include "domain/guest/guest_load.h"
#include "domain/p2m/p2m_options.h"
#include "domain/p2m/p2m_summary.h"
#include "domain/processes/address_space_types.h"
#include "domain/units/abi.h"
#include "domain/units/pci_address.h"
#include "domain/units/units.h"

namespace simvisor {

// libxl lets a domain have this much more than its target
// (LIBXL_MAXMEM_CONSTANT).
inline constexpr PageCount kMaxMemSlack{kPagesPerMiB};

// The limit of a domain whose target or maximum is `memory`, which the
// hypervisor keeps in 32 bits (XEN_DOMCTL_max_mem).
inline PageCount MaxPagesFor(PageCount memory) {
  return std::min(memory + kMaxMemSlack, PageCount(0xffffffff));
}

// libxl leaves dom0 at least this much (LIBXL_MIN_DOM0_MEM).
inline constexpr PageCount kMinDom0Memory{128 * kPagesPerMiB};

// MAX_VIRT_CPUS of a PV domain.
inline constexpr uint32_t kMaxVcpus = 8192;

enum class DomainState { kBuilt, kRunning, kPaused, kDying };

// Whether a domain is between two hosts, one of which will run it.
enum class Handover {
  kNone,
  kOutgoing,  // another host may have been told to run its guest
  kIncoming,  // the host that it comes from decides; its guest is suspended
};

// What to build.  Checked by Host::CreateDomain().
struct DomainSpec {
  std::string name;
  Uuid uuid{};  // all zero: the host chooses
  Arch arch = Arch::kX86_64;
  PageCount memory;
  PageCount max_memory;  // 0 stands for `memory`
  uint32_t vcpus = 1;
  bool e820_host = false;
  E820Map e820;  // empty: one RAM entry of max_memory, or by e820_host
  uint32_t hotplug_limit_gib = 0;
  std::vector<PciAddress> pci_devices;
  P2mOptions p2m;
  // One for all virtual CPUs, or one for each of the first ones.
  std::vector<VcpuAffinitySpec> vcpu_affinities;
  // Rounds of the balloon driver that may fail in a row; 0: any number.
  uint32_t balloon_max_retry = BalloonPolicy::kDefaultMaxRetry;
  PaeKernel pae_kernel;  // of a PAE guest; others ignore it
};

// The part of the spec that is the kernel's.
GuestConfig ConfigOf(const DomainSpec& spec);

// Why a guest does not have its target; see v1.BalloonShortfall.
enum class ShortfallCause {
  kNotRunning,
  kBalloonEmpty,
  kMoving,
  kGuestMemory,
  kMaxMem,
  kHostFull,
  kRetrying,
};

struct BalloonShortfall {
  ShortfallCause cause = ShortfallCause::kRetrying;
  int64_t missing = 0;         // pages; negative: to give
  PageCount reachable;         // what it would have after another try
  uint32_t retry_seconds = 0;  // from one try to the next; 0: none by itself
  bool given_up = false;       // for an hour, or until the target changes
};

struct DomainMemory {
  PageCount current;     // tot_pages, held pages included
  PageCount max;         // max_pages
  PageCount static_max;  // memory/static-max
  PageCount target;      // memory/target
  PageCount balloon;     // pfns in the balloon
  PageCount available;   // pages the guest could still give
  PageCount p2m_pages;   // pages of the list, its tree and its page tables
  PageCount address_space_pages;  // pages of a PAE guest's processes
  BalloonState balloon_state = BalloonState::kNone;
  // Pages that the domain has given back and others still map.
  PageCount foreign_held;
  // Unset if the guest has its target, or the domain is dying.
  std::optional<BalloonShortfall> shortfall;
};

// The guest's balloon driver (balloon_stats); see BalloonDriver.
struct BalloonDriverInfo {
  PageCount current;
  PageCount target;
  PageCount low;  // pages in the balloon, by zone
  PageCount high;
  PageCount batch;  // pages that one hypercall moves
  BalloonState state = BalloonState::kNone;
  uint32_t schedule_delay = 0;  // seconds
  uint32_t max_schedule_delay = 0;
  uint32_t retry_count = 0;
  uint32_t max_retry_count = 0;  // 0: any number
  // Seconds from its last try to the next; unset: none by itself.
  std::optional<uint32_t> retry_after;
  PageCount goal;  // of its next try: the domain's target, if it is unread
  bool lacks_leaf_pages = false;  // of the p2m list, for its next page
  // Room to balloon that the guest found at boot, without what moved frames
  // took of it.
  std::vector<PfnExtent> extra_regions;
};

struct DomainInfo {
  DomainId id;
  std::string name;
  Uuid uuid{};
  Arch arch = Arch::kX86_64;
  DomainState state = DomainState::kBuilt;
  bool suspended = false;   // paused, for as long as it is saved or moved
  uint64_t suspension = 0;  // which one, if it is suspended
  Handover handover = Handover::kNone;
  uint32_t vcpus = 1;
  DomainMemory memory;
  E820Map e820;
  std::vector<PciAddress> pci_devices;
  P2mOptions p2m;
  uint32_t hotplug_limit_gib = 0;
  // Unset before boot and of a dying domain.
  std::optional<BalloonDriverInfo> balloon_driver;
  PaeKernel pae_kernel;  // of a PAE guest
};

// Where a toolstack finds the p2m list (shared info of the domain).
struct MfnListList {
  ToolsRoot root;
  Pfn max_pfn;  // a count
  const Abi* abi = nullptr;
  uint64_t generation = 0;
};

// New processes: the first id, which the others follow, and totals that include
// them.
struct NewAddressSpaces {
  uint64_t first_id = 0;
  AddressSpaceTotals totals;
};

// A guest's load.
struct LoadReport {
  LoadSpec spec;
  uint64_t writes = 0;   // done so far
  bool running = false;  // whether more writes follow by themselves
};

// The result of a check of a load's pages.
struct LoadCheck {
  LoadReport load;  // at the end of the check
  PageCount checked;
  PageCount mismatches;
  Pfn first_bad = Pfn::None();  // the first page that differs
};

struct P2mReport {
  P2mSummary summary;
  PageCount remapped;  // frames moved out from under holes at boot
  PageCount released;  // frames given back at boot
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_DOMAIN_TYPES_H_
