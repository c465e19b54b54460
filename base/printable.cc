#include "base/printable.h"

#include <algorithm>
#include <cassert>
#include <iterator>

#include "absl/strings/str_format.h"

namespace simvisor {
namespace {

struct Range {
  uint32_t first;
  uint32_t last;
};

// In ascending order.
constexpr Range kUnprintable[] = {
    {0x0000, 0x001f},    // C0 controls
    {0x007f, 0x009f},    // DEL, C1 controls
    {0x00ad, 0x00ad},    // soft hyphen
    {0x034f, 0x034f},    // combining grapheme joiner
    {0x061c, 0x061c},    // Arabic letter mark
    {0x115f, 0x1160},    // Hangul fillers
    {0x17b4, 0x17b5},    // Khmer inherent vowels
    {0x180b, 0x180f},    // Mongolian selectors, vowel separator
    {0x200b, 0x200f},    // zero-width characters, directional marks
    {0x2028, 0x202e},    // separators of lines, directional overrides
    {0x2060, 0x206f},    // word joiner, invisible operators, isolates
    {0x3164, 0x3164},    // Hangul filler
    {0xfdd0, 0xfdef},    // noncharacters
    {0xfe00, 0xfe0f},    // variation selectors
    {0xfeff, 0xfeff},    // zero-width no-break space
    {0xffa0, 0xffa0},    // halfwidth Hangul filler
    {0xfff0, 0xfffb},    // reserved, interlinear annotation
    {0x13430, 0x1343f},  // Egyptian hieroglyph format controls
    {0x1bca0, 0x1bca3},  // shorthand format controls
    {0x1d173, 0x1d17a},  // musical format controls
    {0xe0000, 0xe0fff},  // tags, variation selectors
};

// Length in bytes of a character whose first byte is `lead`; 0 if no character
// starts with it.
size_t SizeByLead(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;  // a continuation byte, or an overlong form
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf5 ? 4 : 0;
}

// Whether the shortest encoding of `code` takes `bytes` bytes.
bool IsShortest(uint32_t code, size_t bytes) {
  return bytes == 1 || code >= (bytes == 2   ? 0x80u
                                : bytes == 3 ? 0x800u
                                             : 0x10000u);
}

void AppendEscape(uint32_t code, std::string& out) {
  if (code < 0x80) {
    absl::StrAppendFormat(&out, "\\x%02x", code);
  } else if (code < 0x10000) {
    absl::StrAppendFormat(&out, "\\u%04x", code);
  } else {
    absl::StrAppendFormat(&out, "\\u%04x\\u%04x",
                          0xd800 + ((code - 0x10000) >> 10),
                          0xdc00 + ((code - 0x10000) & 0x3ff));
  }
}

}  // namespace

bool IsContinuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

Character FirstCharacter(absl::string_view text) {
  assert(!text.empty());
  const auto lead = static_cast<unsigned char>(text.front());
  const size_t bytes = SizeByLead(lead);
  const Character none = {.code = lead, .bytes = 0};
  if (bytes == 0 || bytes > text.size()) return none;
  if (bytes == 1) return {.code = lead, .bytes = 1};
  uint32_t code = lead & (0x7fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if (!IsContinuation(text[i])) return none;
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3f);
  }
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (!IsShortest(code, bytes) || surrogate || code > 0x10ffff) return none;
  return {.code = code, .bytes = bytes};
}

bool IsPrintable(uint32_t code) {
  if ((code & 0xfffe) == 0xfffe) return false;  // noncharacters of each plane
  const Range* const after = std::upper_bound(
      std::begin(kUnprintable), std::end(kUnprintable), code,
      [](uint32_t value, const Range& range) { return value < range.first; });
  return after == std::begin(kUnprintable) || std::prev(after)->last < code;
}

bool IsSpace(uint32_t code) {
  return code == 0x20 || code == 0xa0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200a) || code == 0x202f ||
         code == 0x205f || code == 0x3000;
}

std::optional<size_t> NonUtf8Offset(absl::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = FirstCharacter(text.substr(at)).bytes;
    if (bytes == 0) return at;
    at += bytes;
  }
  return std::nullopt;
}

std::optional<std::string> FindNonUtf8(absl::string_view text) {
  const std::optional<size_t> at = NonUtf8Offset(text);
  if (!at) return std::nullopt;
  return absl::StrFormat("byte 0x%02x at offset %d is not UTF-8",
                         static_cast<unsigned char>(text[*at]), *at);
}

size_t AppendPrintable(absl::string_view text, std::string& out) {
  assert(!text.empty());
  const Character next = FirstCharacter(text);
  if (next.bytes == 0) {
    absl::StrAppendFormat(&out, "\\x%02x", next.code);
    return 1;
  }
  if (IsPrintable(next.code)) {
    out.append(text.data(), next.bytes);
  } else {
    AppendEscape(next.code, out);
  }
  return next.bytes;
}

std::string Printable(absl::string_view text) {
  std::string out;
  while (!text.empty()) text.remove_prefix(AppendPrintable(text, out));
  return out;
}

}  // namespace simvisor
