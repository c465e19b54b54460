// How a guest's kernel was built, and what it boots with.  The spec of a domain
// says so, and a kernel that is saved notes it.
//
// Thread safety: a plain value.

#ifndef SIMVISOR_DOMAIN_GUEST_GUEST_CONFIG_H_
#define SIMVISOR_DOMAIN_GUEST_GUEST_CONFIG_H_

#include <cstdint>

#include "domain/balloon/balloon_policy.h"
#include "domain/e820/e820.h"
#include "domain/p2m/p2m_options.h"
#include "domain/processes/address_space_types.h"
#include "domain/units/units.h"

namespace simvisor {

struct GuestConfig {
  // The map that the kernel boots with, and whether it is the host's.
  E820Map e820;
  bool e820_host = false;
  P2mOptions p2m;
  // GiB that the p2m area covers at least (the memory hotplug limit).
  uint32_t hotplug_limit_gib = 0;
  // Rounds of the balloon driver that may fail in a row; 0: any number.
  uint32_t balloon_max_retry = BalloonPolicy::kDefaultMaxRetry;
  PaeKernel pae_kernel;  // of a PAE guest; others ignore it

  // The pfn up to which the area is sized at least.
  Pfn HotplugLimit() const { return Pfn(hotplug_limit_gib * kPagesPerGiB); }
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_GUEST_CONFIG_H_
