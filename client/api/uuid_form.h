// The usual form of a UUID, 8-4-4-4-12 hexadecimal digits.
//
// Thread safety: a pure function.

#ifndef SIMVISOR_CLIENT_API_UUID_FORM_H_
#define SIMVISOR_CLIENT_API_UUID_FORM_H_

#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"

namespace simvisor::client {

// True iff `text` has that form, in either case.
inline bool HasUuidForm(absl::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !absl::ascii_isxdigit(text[i])) return false;
  }
  return true;
}

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_UUID_FORM_H_
