// A domain's configuration in xl.cfg form, read by libxlutil.
//
// xl's keys that have an effect: name, uuid, type, builder, memory, maxmem,
// vcpus, maxvcpus, cpus, cpus_soft, e820_host, pci.  Keys of Simvisor, for what
// xl leaves to the guest's kernel:
//
//   arch="x86_64"|"x86_32_pae"       guest ABI
//   memory_hotplug_limit=GIB         the p2m area covers at least this
//                                    (also simvisor_hotplug_limit)
//   tools_view="tree"|"linear"       where tools find the p2m list
//   balloon_room="faithful"|"compact"  leaves of unused room to balloon
//   balloon_max_retry=N              rounds that may fail in a row; 0: any
//   shared_kernel_pmd=0|1            PAE: processes share kernel page tables
//   kernel_split="3g1g"|"2g2g"|"1g3g"  PAE: user and kernel addresses
//
// xl's other keys are accepted but have no effect, because Simvisor has no
// devices, kernels or disks; one warning names all of them.  Each key that xl
// does not have gets its own warning.  Actions (on_crash and the like) that xl
// does not have are refused.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_XL_DOMAIN_CONFIG_H_
#define SIMVISOR_CLIENT_XL_DOMAIN_CONFIG_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "simvisor/v1/domain_service.pb.h"

namespace simvisor::client {

// The longest file of a configuration that the CLI reads, bytes.
inline constexpr size_t kMaxConfigBytes = 1 << 20;

// Reads `text`, the contents of `file_name`, and then `overrides`, which are
// statements such as memory=512.  Appends a warning for everything that has no
// effect, even if a value is refused.
//
// INVALID_ARGUMENT with libxlutil's own report for what it cannot parse, and
// with xl's messages for values that do not make a domain.  The daemon checks
// its own limits.
absl::StatusOr<v1::DomainSpec> ParseDomainConfig(
    absl::string_view file_name, absl::string_view text,
    absl::Span<const std::string> overrides,
    std::vector<std::string>& warnings);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_XL_DOMAIN_CONFIG_H_
