// Long lists of errors, of which people read the beginning.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_API_ERROR_LINES_H_
#define SIMVISOR_CLIENT_API_ERROR_LINES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace simvisor::client {

// The most lines of one list that people are shown.
inline constexpr size_t kMaxErrorLines = 10;
// The most that programs get; more errors tell them nothing.
inline constexpr size_t kMaxJsonErrorLines = 1000;

// Cuts `lines` to kMaxErrorLines.  If that leaves some out, a last line
// "... and 130 more" says how many.
std::vector<std::string> FirstLines(std::vector<std::string> lines);

// `message` with only the first `most` of its lines that name a place, such as
// "web.cfg:3: ..."; after these, "... and 130 more" says how many are left out.
// Its other lines, such as hints, stay.
std::string CutErrors(absl::string_view message, size_t most);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_ERROR_LINES_H_
