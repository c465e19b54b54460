// Text from outside that is to be shown to people.
//
// A terminal obeys some characters instead of showing them, and shows nothing
// for others, so that a text could forge lines, recolour what is above it, or
// look like another one.  Printable are all characters but these:
//
//   C0 and C1 controls and DEL, line and paragraph separators (line feed and
//   tab too); directional marks, embeddings, overrides and isolates; all others
//   that Unicode calls Default_Ignorable (zero-width characters, soft hyphen,
//   fillers, variation selectors, tags); interlinear annotation and other
//   format characters that show nothing; noncharacters.
//
// Nor is a byte printable that is no UTF-8 as RFC 3629 has it: overlong forms,
// surrogates and numbers above U+10FFFF are none.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BASE_PRINTABLE_H_
#define SIMVISOR_BASE_PRINTABLE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace simvisor {

// A character of a text in UTF-8.
struct Character {
  uint32_t code = 0;  // its number in Unicode; of a byte that is none, the byte
  size_t bytes = 0;   // how many it has; 0 if the text begins with none
};

// The character that `text`, which is not empty, begins with.
Character FirstCharacter(absl::string_view text);

// Whether people see the character `code`, and a terminal does not obey it.
bool IsPrintable(uint32_t code);

// Whether the character `code` is a space, such as U+0020, U+00A0 or U+3000:
// Unicode's Zs.
bool IsSpace(uint32_t code);

// The offset of the first byte of `text` that belongs to no character; nullopt
// if `text` is UTF-8.
std::optional<size_t> NonUtf8Offset(absl::string_view text);

// "byte 0xef at offset 5 is not UTF-8", of that byte.
std::optional<std::string> FindNonUtf8(absl::string_view text);

// Appends to `out` the character that `text`, which is not empty, begins with:
// as it is if it is printable, else as \xNN (ASCII, and bytes that are no
// UTF-8) or \uNNNN (two of them above U+FFFF, as in JSON).  Returns its bytes.
size_t AppendPrintable(absl::string_view text, std::string& out);

// `text` with every character as AppendPrintable() has it.
std::string Printable(absl::string_view text);

}  // namespace simvisor

#endif  // SIMVISOR_BASE_PRINTABLE_H_
