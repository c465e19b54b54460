// The part of a kernel's notes that says what the kernel was built and booted
// with (docs/images.md has the table of fields).
//
// Thread safety: pure functions of their arguments.

#ifndef SIMVISOR_DOMAIN_GUEST_CONFIG_NOTES_H_
#define SIMVISOR_DOMAIN_GUEST_CONFIG_NOTES_H_

#include "domain/collections/state_codec.h"
#include "domain/guest/guest_config.h"
#include "domain/units/abi.h"

namespace simvisor {

void EncodeConfig(const GuestConfig& config, StateWriter& out);

// Reads what EncodeConfig() wrote.  A field beyond its bounds, a map that is
// not one, or RAM where a guest of the ABI cannot have it fails `in`; the
// result then means nothing.
GuestConfig DecodeConfig(StateReader& in, const Abi& abi);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_CONFIG_NOTES_H_
