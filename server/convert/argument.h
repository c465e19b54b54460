// Errors about the fields of a request.
//
// Messages name the field by its path in the request, such as
// "spec.e820.entries[3].type".
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_CONVERT_ARGUMENT_H_
#define SIMVISOR_SERVER_CONVERT_ARGUMENT_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace simvisor::server {

// INVALID_ARGUMENT ARGUMENT_MISSING: "<field>: not set; <next>".
absl::Status ArgumentMissing(absl::string_view field, absl::string_view next);

// INVALID_ARGUMENT ARGUMENT_MALFORMED: "<field>: <problem>".
absl::Status ArgumentMalformed(absl::string_view field,
                               absl::string_view problem);

// ArgumentMalformed() for a number that is not an accepted value of the enum;
// `values` names those that are, such as "RESOLVED or RAW".
absl::Status UnknownValue(absl::string_view field, int value,
                          absl::string_view values);

// ArgumentMalformed() for a page token that the daemon did not give out.
absl::Status BadPageToken(absl::string_view token);

// INVALID_ARGUMENT ARGUMENT_TOO_LARGE if `value` is above `limit`, else OK.
absl::Status CheckAtMost(absl::string_view field, uint64_t value,
                         uint64_t limit);

// ARGUMENT_MISSING for an empty list, ARGUMENT_TOO_LARGE for one with more than
// `limit` elements, else OK.
absl::Status CheckListSize(absl::string_view field, uint64_t size,
                           uint64_t limit);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CONVERT_ARGUMENT_H_
