// The memory map of a machine as the kernel of its dom0 takes it.
//
// dom0 is handed the machine's own map.  Before it sets up memory, Linux
// changes it in two ways (xen_memory_setup() in arch/x86/xen/setup.c): unusable
// entries become RAM, since Xen allows no identity mapping of them, and, with
// CONFIG_ISCSI_IBFT_FIND (since 2023), [512 KiB, 1 MiB) becomes reserved, so
// that the firmware's table for booting over iSCSI can be searched for there.
// Frames under that area move as they do from under any hole.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_BOOT_LOG_DOM0_MAP_H_
#define SIMVISOR_DOMAIN_BOOT_LOG_DOM0_MAP_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "domain/e820/e820.h"

namespace simvisor {

// Where the iSCSI boot firmware table (iBFT) is searched for, in bytes.
inline constexpr uint64_t kIbftStart = uint64_t{512} << 10;
inline constexpr uint64_t kIbftEnd = uint64_t{1} << 20;

// `machine` as dom0's kernel takes it; `reserves_ibft` says whether the kernel
// reserves the area of the iBFT.
//
// INVALID_ARGUMENT E820_MALFORMED if no RAM is left.
absl::StatusOr<E820Map> Dom0Map(const E820Map& machine, bool reserves_ibft);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_DOM0_MAP_H_
