// Quotes text from outside for messages.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BASE_QUOTE_H_
#define SIMVISOR_BASE_QUOTE_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace simvisor {

// `text` cut to at most `max_bytes`, which includes the "..." that marks a cut.
// Never cuts inside a UTF-8 character.
// REQUIRES: max_bytes >= 3
std::string Shortened(absl::string_view text, size_t max_bytes);

// `text` in double quotes, shortened to 80 bytes and made printable.
std::string Quoted(absl::string_view text);

}  // namespace simvisor

#endif  // SIMVISOR_BASE_QUOTE_H_
