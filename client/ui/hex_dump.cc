#include "client/ui/hex_dump.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/ui/exit_code.h"

namespace simvisor::client {
namespace {

constexpr size_t kBytesPerLine = 16;

void AppendLine(absl::string_view bytes, uint64_t offset, std::string& out) {
  absl::StrAppendFormat(&out, "%08x ", offset);
  for (size_t i = 0; i < kBytesPerLine; ++i) {
    if (i == kBytesPerLine / 2) out += ' ';
    if (i < bytes.size()) {
      absl::StrAppendFormat(&out, " %02x",
                            static_cast<unsigned char>(bytes[i]));
    } else {
      out += "   ";
    }
  }
  out += "  |";
  for (const char c : bytes) out += absl::ascii_isprint(c) ? c : '.';
  out += "|\n";
}

}  // namespace

std::string HexDump(absl::string_view data, uint64_t first_offset) {
  std::string out;
  absl::string_view previous;
  bool starred = false;
  for (size_t at = 0; at < data.size(); at += kBytesPerLine) {
    const absl::string_view line = data.substr(at, kBytesPerLine);
    if (at > 0 && line == previous) {
      if (!starred) out += "*\n";
      starred = true;
      continue;
    }
    AppendLine(line, first_offset + at, out);
    previous = line;
    starred = false;
  }
  absl::StrAppendFormat(&out, "%08x\n", first_offset + data.size());
  return out;
}

absl::StatusOr<std::string> ParseHexBytes(absl::string_view text) {
  std::string digits(text);
  digits.erase(std::remove(digits.begin(), digits.end(), ' '), digits.end());
  const bool hex = std::all_of(digits.begin(), digits.end(),
                               [](char c) { return absl::ascii_isxdigit(c); });
  if (!hex || digits.size() % 2 != 0) {
    return UsageError(absl::StrCat(
        "'", text, "': must be pairs of hexadecimal digits, such as '00 ff'"));
  }
  return absl::HexStringToBytes(digits);
}

}  // namespace simvisor::client
