// What libxlutil does not report about an xl.cfg file: the keys that it
// assigns, and misplaced characters.
//
// libxlutil answers questions about keys but does not list them, so this
// scanner finds the names.  It follows libxlutil's grammar: a statement begins
// after a newline or ';' outside of brackets, '#' begins a comment, and strings
// have either kind of quotes.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_XL_CONFIG_KEYS_H_
#define SIMVISOR_CLIENT_XL_CONFIG_KEYS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace simvisor::client {

struct AssignedKey {
  std::string name;
  int line = 0;  // from 1
};

// The names at the beginning of the statements of `text`, in order.  For a text
// that is not a valid config, the list of names is unspecified.
std::vector<AssignedKey> FindAssignedKeys(absl::string_view text);

// A character that is invalid outside of strings and comments: not ASCII, or a
// carriage return.
struct StrayCharacter {
  std::string text;  // its bytes; one byte if it is not UTF-8
  int line = 0;      // from 1
};

// The first such character of `text`; nullopt if all are valid.
std::optional<StrayCharacter> FindStrayCharacter(absl::string_view text);

// A statement whose value begins as a number does, such as "memory = 1.5g", but
// is not one of xl's files: not negative, whole, decimal or 0x..., without a
// unit.
struct BadNumber {
  std::string statement;  // "memory = 1.5g"
  int line = 0;           // from 1
};

// The first such statement of `text`, outside of lists and strings.
std::optional<BadNumber> FindBadNumber(absl::string_view text);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_XL_CONFIG_KEYS_H_
