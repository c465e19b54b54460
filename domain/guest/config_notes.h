// The part of a kernel's notes that records how the kernel was built and booted
// (docs/images.md has the table of fields).
//
// Thread safety: pure functions of their arguments.

#ifndef SIMVISOR_DOMAIN_GUEST_CONFIG_NOTES_H_
#define SIMVISOR_DOMAIN_GUEST_CONFIG_NOTES_H_

#include "domain/collections/state_codec.h"
#include "domain/guest/guest_config.h"
#include "domain/units/abi.h"

namespace simvisor {

void EncodeConfig(const GuestConfig& config, StateWriter& out);

// Reads what EncodeConfig() wrote.  Fails `in` if a field is out of bounds, the
// map is malformed, or RAM lies where a guest of the ABI cannot have it; the
// result is meaningless then.
GuestConfig DecodeConfig(StateReader& in, const Abi& abi);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_CONFIG_NOTES_H_
