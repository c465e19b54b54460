// The part of a kernel's notes that says what the kernel was built and booted
// with (docs/images.md has the table of fields).
//
// Thread safety: pure functions of their arguments.

#ifndef SIMVISOR_DOMAIN_VM_CONFIG_NOTES_H_
#define SIMVISOR_DOMAIN_VM_CONFIG_NOTES_H_

#include "domain/collections/state_codec.h"
#include "domain/vm/domain_types.h"

namespace simvisor {

// Writes hotplug_limit_gib, p2m, balloon_max_retry, pae_kernel, e820_host and
// e820 of `spec`.
void EncodeConfig(const DomainSpec& spec, StateWriter& out);

// Reads what EncodeConfig() wrote into `spec`, of which `arch` is given.  A
// field beyond its bounds, a map that is not one, or RAM where a guest of the
// architecture cannot have it fails `in`; `spec` then holds what was read.
void DecodeConfig(StateReader& in, DomainSpec& spec);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_CONFIG_NOTES_H_
