// The text of a line of a boot log, without what terminals and serial lines
// add.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_GUEST_LOG_TEXT_H_
#define SIMVISOR_DOMAIN_GUEST_LOG_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace simvisor {

// `line` without what a terminal obeys (colours and other escape sequences,
// also where a pager or a log daemon has spelled their first byte, as in
// "^[[33m", "ESC[33m" and "#033[33m"), without other control characters, and
// without white space at its ends.  A tab becomes a space.
std::string CleanLogLine(absl::string_view line);

// Takes the hexadecimal digits that `text` begins with off it.  False, and
// nothing changed, if these are fewer than `min_digits` or more than 16.
bool ConsumeHexDigits(absl::string_view& text, size_t min_digits,
                      uint64_t& value);

// `text` for a message: in quotation marks, with escapes for what is not
// printable ASCII, and cut where it is long.
std::string QuoteLogText(absl::string_view text);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_LOG_TEXT_H_
