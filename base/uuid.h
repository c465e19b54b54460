// UUIDs and their usual form: 8-4-4-4-12 hexadecimal digits.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BASE_UUID_H_
#define SIMVISOR_BASE_UUID_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace simvisor {

using Uuid = std::array<uint8_t, 16>;

// True if `text` has the usual form, with digits in either case.
bool HasUuidForm(absl::string_view text);

// Parses a UUID.  INVALID_ARGUMENT UUID_INVALID unless HasUuidForm(text); the
// message names `field`.
absl::StatusOr<Uuid> ParseUuid(absl::string_view field, absl::string_view text);

// The usual form, in lower case.
std::string UuidToString(const Uuid& uuid);

}  // namespace simvisor

#endif  // SIMVISOR_BASE_UUID_H_
