// The text of a line of a boot log, without what terminals and serial lines
// add, and the lines that say who speaks in those that follow.
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

// `line` without what a terminal obeys (colours and other escape sequences,
// also where a pager or a log daemon has spelled or lost their first byte, as
// in "^[[33m", "#033[33m" and "[33m"), without other control characters and
// spaces of no width, and without white space at its ends.  A tab and a
// no-break space, as web pages have them, become a space.
std::string CleanLogLine(absl::string_view line);

// What follows `words` in `line`, without white space at its start; nullopt if
// they are not there.
std::optional<absl::string_view> TextAfter(absl::string_view line,
                                           absl::string_view words);

// The lines below are clean.

// Whether `line` is the hypervisor's first one, which names its version and
// who built it.  Kernels of guests name the version without the latter.
bool IsXenBanner(absl::string_view line);

// Whether `line` is a kernel's first one.
bool IsKernelBanner(absl::string_view line);

// Whether `line` is a heading of one of Xen's maps, or of one of a kernel's.
bool IsXenMapHeading(absl::string_view line);
bool IsKernelMapHeading(absl::string_view line);

// Whether a guest wrote `line`: Xen prints what guests write on their consoles,
// behind "(dN)" or "HVMN:".  dom0 is no guest.
bool IsGuestLine(absl::string_view line);

// Takes the hexadecimal digits that `text` begins with off it.  False, and
// nothing changed, if these are fewer than `min_digits` or more than 16.
bool ConsumeHexDigits(absl::string_view& text, size_t min_digits,
                      uint64_t& value);

// `text` for a message: in quotation marks, with escapes for what is not
// printable ASCII, and cut where it is long.
std::string QuoteLogText(absl::string_view text);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_LOG_TEXT_H_
