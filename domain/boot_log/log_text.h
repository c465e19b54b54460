// Cleans the lines of boot logs of what terminals and serial lines add, and
// recognises the lines that tell who prints the lines after them.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_BOOT_LOG_LOG_TEXT_H_
#define SIMVISOR_DOMAIN_BOOT_LOG_LOG_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace simvisor {

// Returns `line` without what a terminal obeys (colours and other escape
// sequences, even if a pager or a log daemon has spelled out or lost the first
// byte, as in "^[[33m", "#033[33m" and "[33m"), without other control
// characters and zero-width spaces, and without white space at either end.
// Tabs and the no-break spaces of web pages become spaces.
std::string CleanLogLine(absl::string_view line);

// The text after `words` in `line`, without leading white space; nullopt if
// `line` does not contain them.
std::optional<absl::string_view> TextAfter(absl::string_view line,
                                           absl::string_view words);

// The functions below expect clean lines.

// Whether `line` is the hypervisor's first line, which states its version and
// who built it.  Guest kernels state only the version.
bool IsXenBanner(absl::string_view line);

// Whether `line` is a kernel's first line.
bool IsKernelBanner(absl::string_view line);

// Whether `line` is a heading of a map of Xen's, or of a kernel's.
bool IsXenMapHeading(absl::string_view line);
bool IsKernelMapHeading(absl::string_view line);

// Whether a guest wrote `line`: Xen prints the console output of guests after
// "(dN)" or "HVMN:".  dom0 does not count as a guest.
bool IsGuestLine(absl::string_view line);

// Consumes the hexadecimal digits that `text` starts with.  Returns false and
// changes nothing if there are fewer than `min_digits` or more than 16.
bool ConsumeHexDigits(absl::string_view& text, size_t min_digits,
                      uint64_t& value);

// `text` for a message: in quotation marks, with escapes for everything but
// printable ASCII, and shortened if it is long.
std::string QuoteLogText(absl::string_view text);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_LOG_TEXT_H_
