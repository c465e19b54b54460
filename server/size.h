// Sizes as people write them on a command line.
//
// A size is a decimal number and an optional unit: t, g, m, k or b, in either
// case, for TiB, GiB, MiB, KiB and bytes.  A bare number is in MiB, as for xl.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_SIZE_H_
#define SIMVISOR_SERVER_SIZE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/units/units.h"

namespace simvisor::server {

// The pages that `text` stands for; may be none.
//
// INVALID_ARGUMENT ARGUMENT_MALFORMED if `text` is not of the form above or is
// no whole number of pages, ARGUMENT_TOO_LARGE for 2^64 bytes or more.
absl::StatusOr<PageCount> ParseSize(absl::string_view text);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SIZE_H_
