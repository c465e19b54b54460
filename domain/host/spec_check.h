// Checks of requests, before anything is looked up or allocated.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_HOST_SPEC_CHECK_H_
#define SIMVISOR_DOMAIN_HOST_SPEC_CHECK_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "domain/vm/domain_types.h"

namespace simvisor {

// INVALID_ARGUMENT NAME_INVALID unless `name` is 1 to 255 bytes of UTF-8
// without '/' and without characters that are not printable (base/printable.h).
// Also refuses names of digits only and names in the form of a uuid (tools
// would take them for an id or a uuid), blank names, and "(null)", which lists
// show for a missing name.
absl::Status CheckDomainName(absl::string_view name);

// INVALID_ARGUMENT NAME_INVALID, MEMORY_SIZE_INVALID (also for more than a
// guest of its ABI can have), ARGUMENT_TOO_LARGE (vcpus, hotplug limit, PCI
// devices), ARGUMENT_MALFORMED (a PCI device named twice, PCI devices
// without e820_host, or top-level entries that no PAE kernel leaves to
// processes).  Does not check the memory map.
absl::Status CheckDomainSpec(const DomainSpec& spec);

// INVALID_ARGUMENT E820_MALFORMED if the map of a PAE guest has RAM at pfns
// that its kernel cannot manage.  A 64-bit guest's map is limited by the p2m
// area that it needs; see PlanMemorySetup().
// REQUIRES: the map is filled in.
absl::Status CheckGuestMap(const DomainSpec& spec);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_HOST_SPEC_CHECK_H_
