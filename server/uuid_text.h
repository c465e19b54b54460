// UUIDs in the usual form, 8-4-4-4-12 hexadecimal digits.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_UUID_TEXT_H_
#define SIMVISOR_SERVER_UUID_TEXT_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/domain/domain_types.h"

namespace simvisor::server {

// Digits in either case.  INVALID_ARGUMENT UUID_INVALID, with `field` named in
// the message, for text of another form.
absl::StatusOr<Uuid> ParseUuid(absl::string_view field, absl::string_view text);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_UUID_TEXT_H_
