// Checks of what callers ask for, before anything is looked up or taken.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_HOST_SPEC_CHECK_H_
#define SIMVISOR_DOMAIN_HOST_SPEC_CHECK_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "domain/vm/domain_types.h"

namespace simvisor {

// INVALID_ARGUMENT NAME_INVALID unless `name` is 1 to 255 bytes of UTF-8
// without '/' and without characters that are not printable (base/printable.h),
// and neither digits only nor in the form of a uuid (tools would take it for an
// id or a uuid), nor blank, nor "(null)", which lists show for no name.
absl::Status CheckDomainName(absl::string_view name);

// INVALID_ARGUMENT NAME_INVALID, MEMORY_SIZE_INVALID (also for more than a
// guest of its ABI can have), ARGUMENT_TOO_LARGE (vcpus, hotplug limit, PCI
// devices), ARGUMENT_MALFORMED (a PCI device named twice, or PCI devices
// without e820_host).  Does not look at the memory map.
absl::Status CheckDomainSpec(const DomainSpec& spec);

// INVALID_ARGUMENT E820_MALFORMED if the map of a PAE guest has RAM at pfns
// that its kernel cannot manage.  A 64-bit guest's map is judged by the p2m
// area that it leads to, see PlanMemorySetup().  REQUIRES: the map is filled
// in.
absl::Status CheckGuestMap(const DomainSpec& spec);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_HOST_SPEC_CHECK_H_
