// Converts bytes to text and back.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_UI_HEX_DUMP_H_
#define SIMVISOR_CLIENT_UI_HEX_DUMP_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace simvisor::client {

// A dump with sixteen bytes a line: offset, bytes in hex, bytes as text.  The
// first offset is `first_offset`; repeated lines become one "*"; the last line
// is the offset of the end.
std::string HexDump(absl::string_view data, uint64_t first_offset);

// The bytes of hex digits such as "00ff a0"; spaces are ignored.  A
// UsageError() for any other character or an odd number of digits.
absl::StatusOr<std::string> ParseHexBytes(absl::string_view text);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_HEX_DUMP_H_
