// Long lists of errors, of which people read the beginning.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_API_ERROR_LINES_H_
#define SIMVISOR_CLIENT_API_ERROR_LINES_H_

#include <cstddef>
#include <string>
#include <vector>

namespace simvisor::client {

// The most lines of one list that are shown.
inline constexpr size_t kMaxErrorLines = 10;

// Cuts `lines` to kMaxErrorLines.  If that leaves some out, a last line
// "... and 130 more" says how many.
std::vector<std::string> FirstLines(std::vector<std::string> lines);

// The same as one text, without a newline at the end.
std::string JoinFirstLines(std::vector<std::string> lines);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_ERROR_LINES_H_
