// Sizes of memory on the daemon's command line.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_SIZE_H_
#define SIMVISOR_SERVER_SIZE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/units/units.h"

namespace simvisor::server {

// The number of pages in `text`, a size as parsed by base/size.h; may be 0.
//
// INVALID_ARGUMENT ARGUMENT_MALFORMED if it is not a size or not a whole number
// of pages, ARGUMENT_TOO_LARGE for 2^64 bytes or more.
absl::StatusOr<PageCount> ParsePages(absl::string_view text);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SIZE_H_
