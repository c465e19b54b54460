// Sizes as people write them: a decimal number and a unit, one of t, g, m, k
// and b in either case, for TiB, GiB, MiB, KiB and bytes.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BASE_SIZE_H_
#define SIMVISOR_BASE_SIZE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace simvisor {

// Parses `text` into bytes; 0 is allowed.  A number without a unit is in MiB,
// as in xl.
//
// INVALID_ARGUMENT ARGUMENT_MALFORMED if `text` does not have the form above,
// ARGUMENT_TOO_LARGE for 2^64 bytes or more.
absl::StatusOr<uint64_t> ParseSize(absl::string_view text);

// The text of an amount of memory in pages of 4 KiB: "512 MiB (131072 pages)",
// "771.3 MiB (197473 pages)" (rounded down); "5 pages" below 1 MiB.
std::string SizeOfPages(uint64_t pages);

// True if `text` ends in one of the units.
bool HasSizeUnit(absl::string_view text);

}  // namespace simvisor

#endif  // SIMVISOR_BASE_SIZE_H_
