// Makes text from outside safe to show to people.
//
// A terminal obeys some characters instead of showing them, and shows nothing
// for others, so a text could forge lines, recolour earlier output, or look
// like another text.  All characters are printable except these:
//
//   C0 and C1 controls and DEL, line and paragraph separators (line feed and
//   tab too); directional marks, embeddings, overrides and isolates; all others
//   that Unicode calls Default_Ignorable (zero-width characters, soft hyphen,
//   fillers, variation selectors, tags); interlinear annotation and other
//   format characters that show nothing; noncharacters.
//
// Bytes that are not UTF-8 by RFC 3629 are not printable either: overlong
// forms, surrogates and numbers above U+10FFFF.
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
  uint32_t code = 0;  // code point, or the byte itself if it is not UTF-8
  size_t bytes = 0;   // its length; 0 if the text does not start with one
};

// The first character of `text`.
// REQUIRES: `text` is not empty.
Character FirstCharacter(absl::string_view text);

// Whether the character `code` is visible, and a terminal does not obey it.
bool IsPrintable(uint32_t code);

// Whether the character `code` is a space (Unicode's Zs), such as U+0020,
// U+00A0 or U+3000.
bool IsSpace(uint32_t code);

// True for every byte of a UTF-8 character after its first.
bool IsContinuation(char c);

// The offset of the first byte of `text` that is not part of a valid character;
// nullopt if `text` is UTF-8.
std::optional<size_t> NonUtf8Offset(absl::string_view text);

// "byte 0xef at offset 5 is not UTF-8", for the byte at NonUtf8Offset().
std::optional<std::string> FindNonUtf8(absl::string_view text);

// Appends the first character of `text` to `out`: unchanged if it is printable,
// else as \xNN (ASCII, and bytes that are not UTF-8) or \uNNNN (two of them
// above U+FFFF, as in JSON).  Returns how many bytes of `text` it consumed.
// REQUIRES: `text` is not empty.
size_t AppendPrintable(absl::string_view text, std::string& out);

// `text` with each character rendered as by AppendPrintable().
std::string Printable(absl::string_view text);

}  // namespace simvisor

#endif  // SIMVISOR_BASE_PRINTABLE_H_
