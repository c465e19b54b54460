// The machine's memory map as the kernel of its dom0 uses it.
//
// dom0 is given the machine's own map.  Before Linux sets up memory it changes
// the map in two ways (xen_memory_setup() in arch/x86/xen/setup.c): unusable
// entries become RAM, since Xen does not allow an identity mapping of them,
// and, with CONFIG_ISCSI_IBFT_FIND (since 2023), [512 KiB, 1 MiB) becomes
// reserved, so that the kernel can search it for the firmware's iSCSI boot
// table.  Frames under that area move like those under any hole.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_BOOT_LOG_DOM0_MAP_H_
#define SIMVISOR_DOMAIN_BOOT_LOG_DOM0_MAP_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "domain/e820/e820.h"

namespace simvisor {

// Where Linux searches for the iSCSI boot firmware table (iBFT), in bytes.
inline constexpr uint64_t kIbftStart = uint64_t{512} << 10;
inline constexpr uint64_t kIbftEnd = uint64_t{1} << 20;

// `machine` as dom0's kernel uses it; `reserves_ibft` says whether the kernel
// reserves the area of the iBFT.
//
// INVALID_ARGUMENT E820_MALFORMED if no RAM is left.
absl::StatusOr<E820Map> Dom0Map(const E820Map& machine, bool reserves_ibft);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_DOM0_MAP_H_
