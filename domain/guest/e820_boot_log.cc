// Reading an E820 map from the text of a boot log.
//
// A kernel's log mentions memory ranges in many places (updates of the map,
// NUMA nodes, PCI windows).  Lines of a map are told from those by what stands
// right before the bracket: the name of a map, or nothing but a time stamp.

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "domain/guest/e820.h"
#include "domain/units/error.h"
#include "domain/units/status_macros.h"

namespace simvisor {
namespace {

constexpr absl::string_view kBracket = "[mem 0x";
constexpr size_t kMaxHexDigits = 16;
constexpr size_t kMaxQuotedBytes = 80;

// The maps a log may hold, the preferred one first; untagged lines come last.
constexpr std::array<absl::string_view, 3> kTags = {
    "Xen:", "Xen-e820:", "BIOS-e820:"};
constexpr size_t kUntagged = kTags.size();

struct Line {
  size_t number;  // from 1
  absl::string_view text;
};

absl::Status Malformed(const Line& line, absl::string_view what) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kE820Malformed,
      absl::StrFormat("E820 map: line %d, \"%s\": %s", line.number,
                      absl::CHexEscape(line.text.substr(0, kMaxQuotedBytes)),
                      what));
}

// Which map a line with `before` in front of its bracket belongs to; nullopt if
// it is not of a map.
std::optional<size_t> MapOf(absl::string_view before) {
  before = absl::StripTrailingAsciiWhitespace(before);
  const size_t space = before.find_last_of(" \t");
  const absl::string_view word =
      space == absl::string_view::npos ? before : before.substr(space + 1);
  const auto* tag = std::find(kTags.begin(), kTags.end(), word);
  if (tag != kTags.end()) return tag - kTags.begin();
  // "[    0.000000]" of the kernel, "kernel:" of the system's log.
  const bool untagged =
      word.empty() || absl::EndsWith(word, "]") || word == "kernel:";
  return untagged ? std::optional<size_t>(kUntagged) : std::nullopt;
}

// Takes "0x" and the hexadecimal digits behind it off `text`.
bool ConsumeHex(absl::string_view& text, uint64_t& value) {
  if (!absl::ConsumePrefix(&text, "0x")) return false;
  const size_t digits =
      std::min(text.find_first_not_of("0123456789abcdefABCDEF"), text.size());
  if (digits == 0 || digits > kMaxHexDigits) return false;
  if (!absl::SimpleHexAtoi(text.substr(0, digits), &value)) return false;
  text.remove_prefix(digits);
  return true;
}

std::optional<E820Type> TypeNamed(absl::string_view name) {
  for (E820Type type : {E820Type::kRam, E820Type::kReserved, E820Type::kAcpi,
                        E820Type::kNvs, E820Type::kUnusable}) {
    if (name == E820TypeName(type)) return type;
  }
  return std::nullopt;
}

absl::StatusOr<E820Entry> ParseLine(const Line& line) {
  absl::string_view rest = line.text.substr(line.text.find(kBracket));
  uint64_t start = 0;
  uint64_t last = 0;
  if (!absl::ConsumePrefix(&rest, "[mem ") || !ConsumeHex(rest, start) ||
      !absl::ConsumePrefix(&rest, "-") || !ConsumeHex(rest, last) ||
      !absl::ConsumePrefix(&rest, "]")) {
    return Malformed(line, "the range is not of the form [mem 0xSTART-0xEND]");
  }
  if (last < start) {
    return Malformed(line,
                     "the range ends below its start; both are stated "
                     "inclusive, lowest first");
  }
  if (last >= kMaxE820Address) {
    return Malformed(
        line, absl::StrFormat("the range ends above 0x%x, where physical "
                              "addresses end",
                              kMaxE820Address));
  }
  const auto type = TypeNamed(absl::StripAsciiWhitespace(rest));
  if (!type.has_value()) {
    return Malformed(line,
                     "unknown type; known are usable, reserved, ACPI "
                     "data, ACPI NVS and unusable");
  }
  return E820Entry{start, last - start + 1, *type};
}

// The lines of the most preferred map that `text` has.
std::vector<Line> LinesOfMap(absl::string_view text) {
  std::array<std::vector<Line>, kUntagged + 1> maps;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    const size_t bracket = line.find(kBracket);
    if (bracket == absl::string_view::npos) continue;
    const auto map = MapOf(line.substr(0, bracket));
    if (map.has_value())
      maps[*map].push_back({number, absl::StripAsciiWhitespace(line)});
  }
  for (std::vector<Line>& map : maps) {
    if (!map.empty()) return std::move(map);
  }
  return {};
}

}  // namespace

absl::StatusOr<E820Map> E820Map::ParseBootLog(absl::string_view text) {
  if (text.size() > kMaxE820TextBytes) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kE820Malformed,
        absl::StrFormat("E820 map: the boot log has %d bytes, at most %d are "
                        "read; hand in the lines of the map alone",
                        text.size(), kMaxE820TextBytes));
  }
  std::vector<E820Entry> entries;
  for (const Line& line : LinesOfMap(text)) {
    SIMVISOR_ASSIGN_OR_RETURN(const E820Entry entry, ParseLine(line));
    entries.push_back(entry);
  }
  if (entries.empty()) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kE820Malformed,
        "E820 map: the boot log has no line like \"Xen: [mem "
        "0x0000000000000000-0x000000000009dfff] usable\"; hand in the "
        "first lines of the kernel's log");
  }
  return Create(std::move(entries));
}

}  // namespace simvisor
