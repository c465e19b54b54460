#include "domain/boot_log/map_line.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/boot_log/log_text.h"

namespace simvisor {
namespace {

constexpr absl::string_view kMem = "[mem 0x";
// Xen pads its addresses to 16 digits; shorter bracketed numbers are not its
// own.
constexpr size_t kMinPlainDigits = 8;

constexpr std::pair<absl::string_view, MapTag> kTags[] = {
    {"Xen:", MapTag::kXen},
    {"Xen-e820:", MapTag::kXen},
    {"BIOS-e820:", MapTag::kBios},
    {"BIOS-e801:", MapTag::kBios},
    {"BIOS-88:", MapTag::kBios},
    {"user:", MapTag::kUser},
    {"modified:", MapTag::kModified},
    {"reserve setup_data:", MapTag::kExtended},
    {"extended:", MapTag::kExtended},
};

// Names of types in lower case.  Those of persistent memory are followed by the
// number of the type.
constexpr std::pair<absl::string_view, E820Type> kTypes[] = {
    {"usable", E820Type::kRam},
    {"kernel usable ram", E820Type::kRam},
    {"system ram", E820Type::kRam},
    {"reserved", E820Type::kReserved},
    {"device reserved", E820Type::kReserved},
    {"soft reserved", E820Type::kReserved},
    {"persistent", E820Type::kReserved},
    {"persistent ram", E820Type::kReserved},
    {"persistent memory", E820Type::kReserved},
    {"persistent memory (legacy)", E820Type::kReserved},
    {"unknown e820 type", E820Type::kReserved},
    {"acpi data", E820Type::kAcpi},
    {"acpi tables", E820Type::kAcpi},
    {"acpi nvs", E820Type::kNvs},
    {"acpi non-volatile storage", E820Type::kNvs},
    {"unusable", E820Type::kUnusable},
    {"unusable memory", E820Type::kUnusable},
};

absl::Status Malformed(const MapLine& line, absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, Reason::kE820Malformed,
                   absl::StrCat("E820 map: line ", line.number, ": ", what));
}

struct Range {
  uint64_t start = 0;
  uint64_t end = 0;          // as printed
  bool end_is_last = false;  // whether `end` belongs to the range
  absl::string_view text;
  absl::string_view rest;  // the text after the range
};

// Consumes "START<separator>END", with `prefix` before each number.
bool ConsumePair(absl::string_view& text, absl::string_view prefix,
                 size_t min_digits, absl::string_view separator, Range& range) {
  return absl::ConsumePrefix(&text, prefix) &&
         ConsumeHexDigits(text, min_digits, range.start) &&
         absl::ConsumePrefix(&text, separator) &&
         absl::ConsumePrefix(&text, prefix) &&
         ConsumeHexDigits(text, min_digits, range.end);
}

// The range, in any form, that `text` starts with.  A number that runs into
// other characters does not count.
std::optional<Range> ReadRange(absl::string_view text) {
  absl::string_view rest = text;
  Range range;
  bool found;
  if (absl::ConsumePrefix(&rest, "[mem ")) {
    range.end_is_last = true;
    found = ConsumePair(rest, "0x", 1, "-", range) &&
            absl::ConsumePrefix(&rest, "]");
  } else if (absl::ConsumePrefix(&rest, "[")) {
    range.end_is_last = true;
    found = ConsumePair(rest, "", kMinPlainDigits, ", ", range) &&
            absl::ConsumePrefix(&rest, "]");
  } else {
    found = ConsumePair(rest, "", kMinPlainDigits, " - ", range) &&
            (rest.empty() || rest[0] == ' ' || rest[0] == '(');
  }
  if (!found) return std::nullopt;
  range.text = text.substr(0, text.size() - rest.size());
  range.rest = rest;
  return range;
}

// Where the range of `line` begins.  In the older forms the range must be
// complete, since their brackets and numbers occur in many other lines.
std::optional<size_t> FindRange(absl::string_view line) {
  const size_t mem = line.find(kMem);
  if (mem != absl::string_view::npos) return mem;
  for (size_t at = 0; at < line.size(); ++at) {
    const bool starts_number = absl::ascii_isxdigit(line[at]) &&
                               (at == 0 || !absl::ascii_isalnum(line[at - 1]));
    if (line[at] != '[' && !starts_number) continue;
    if (ReadRange(line.substr(at)).has_value()) return at;
  }
  return std::nullopt;
}

bool EndsWithWord(absl::string_view text, absl::string_view word) {
  if (!absl::ConsumeSuffix(&text, word)) return false;
  return text.empty() || (!absl::ascii_isalnum(text.back()) &&
                          text.back() != '-' && text.back() != '_');
}

// Whether `before` is what logs put in front of any line: a time stamp or a
// level in brackets, the name of the kernel, quotation marks.
bool IsLogPrefix(absl::string_view before) {
  if (before.empty() || EndsWithWord(before, "kernel:")) return true;
  return absl::StrContains("]>|;", before.substr(before.size() - 1));
}

std::optional<MapTag> TagOf(absl::string_view before) {
  before = absl::StripTrailingAsciiWhitespace(before);
  for (const auto& [word, tag] : kTags) {
    if (EndsWithWord(before, word)) return tag;
  }
  const size_t xen = before.rfind(kXenPrefix);
  const bool from_xen = xen != absl::string_view::npos;
  if (from_xen) {
    before = absl::StripAsciiWhitespace(before.substr(xen + kXenPrefix.size()));
  }
  if (!IsLogPrefix(before)) return std::nullopt;
  return from_xen ? MapTag::kHypervisor : MapTag::kNone;
}

// Consumes a size such as "639   KB" or "1.9 GB".
void SkipSize(absl::string_view& text) {
  absl::string_view rest = text;
  const size_t digits =
      std::min(rest.find_first_not_of("0123456789."), rest.size());
  if (digits == 0) return;
  rest = absl::StripLeadingAsciiWhitespace(rest.substr(digits));
  for (absl::string_view unit : {"B ", "KB ", "kB ", "MB ", "GB ", "TB "}) {
    if (!absl::ConsumePrefix(&rest, unit)) continue;
    text = absl::StripLeadingAsciiWhitespace(rest);
    return;
  }
}

// The name of a type, from the text after a range.
std::string TypeText(absl::string_view rest) {
  // A line from a JSON log is followed by its quotation mark, perhaps after an
  // escaped end of line, and then by other members.
  const size_t quote = rest.find('"');
  if (quote != absl::string_view::npos) {
    rest = rest.substr(0, quote);
    while (absl::ConsumeSuffix(&rest, "\\") ||
           absl::ConsumeSuffix(&rest, "\\n") ||
           absl::ConsumeSuffix(&rest, "\\r")) {
    }
  }
  rest = absl::StripAsciiWhitespace(rest);
  SkipSize(rest);
  if (rest.size() > 1 && rest.front() == '(' && rest.back() == ')') {
    rest = rest.substr(1, rest.size() - 2);
  }
  return std::string(rest);
}

// The type "type N"; the BIOS interface defines 1 to 5.
std::optional<E820Type> TypeNumbered(absl::string_view name) {
  uint32_t number = 0;
  if (!absl::ConsumePrefix(&name, "type ") ||
      !absl::SimpleAtoi(name, &number)) {
    return std::nullopt;
  }
  const bool known = number >= static_cast<uint32_t>(E820Type::kRam) &&
                     number <= static_cast<uint32_t>(E820Type::kUnusable);
  return known ? static_cast<E820Type>(number) : E820Type::kReserved;
}

std::optional<E820Type> TypeNamed(absl::string_view text) {
  const std::string lower = absl::AsciiStrToLower(text);
  absl::string_view name = lower;
  if (const auto numbered = TypeNumbered(name)) return numbered;
  const size_t number = name.find(" (type ");
  if (number != absl::string_view::npos) {
    absl::string_view in_parentheses = name.substr(number + 2);
    if (!absl::ConsumeSuffix(&in_parentheses, ")") ||
        !TypeNumbered(in_parentheses).has_value()) {
      return std::nullopt;
    }
    name = name.substr(0, number);
  }
  for (const auto& [known, type] : kTypes) {
    if (name == known) return type;
  }
  return std::nullopt;
}

absl::StatusOr<E820Type> ReadType(const MapLine& line, const Range& range) {
  const std::string text = TypeText(range.rest);
  if (text.empty()) {
    return Malformed(line,
                     absl::StrCat("no type follows ", QuoteLogText(range.text),
                                  "; a wrapped line has to be joined"));
  }
  const std::optional<E820Type> type = TypeNamed(text);
  if (type.has_value()) return *type;
  return Malformed(
      line, absl::StrCat(QuoteLogText(text),
                         " is an unknown type; known are usable, reserved, "
                         "ACPI data, ACPI NVS, unusable, persistent (type 7), "
                         "soft reserved and type N"));
}

// Whether `text`, a range with nothing before it, belongs to a map: Linux
// prints other ranges like that, of PCI windows and of its own mappings.
bool IsUntaggedMapRange(absl::string_view text) {
  if (absl::StartsWith(text, kMem)) {
    return !absl::StrContains(text, "] available for PCI") &&
           !absl::StrContains(text, "] page ");
  }
  const std::optional<Range> range = ReadRange(text);
  if (!range.has_value()) return false;
  const absl::string_view type = absl::StripLeadingAsciiWhitespace(range->rest);
  return absl::StartsWith(type, "(") || absl::StartsWith(type, "type ");
}

// Whether `text` begins like a range of a map that a kernel prints, even if it
// is cut off inside the range.  Excludes gaps between ranges.
bool BeginsLikeAKernelsRange(absl::string_view text) {
  return absl::StartsWith(text, "0") || absl::StartsWith(text, "[0") ||
         absl::StartsWith(text, "[mem") ||
         (!text.empty() && absl::StartsWith("[mem", text));
}

// The same for Xen's ranges, which have all digits.
bool BeginsLikeXensRange(absl::string_view text) {
  absl::ConsumePrefix(&text, "[");
  const size_t digits = text.find_first_not_of("0123456789abcdefABCDEF");
  return std::min(digits, text.size()) >= kMinPlainDigits;
}

// The text after "(XEN)" and after a time stamp that follows it.
absl::string_view AfterXenPrefix(absl::string_view text) {
  if (!absl::StartsWith(text, "[")) return text;
  const size_t end = text.find(']');
  const absl::string_view stamp = text.substr(0, end);
  if (end == absl::string_view::npos || absl::StrContains(stamp, ",")) {
    return text;
  }
  return absl::StripLeadingAsciiWhitespace(text.substr(end + 1));
}

// The line without a range that a garbled or cut `text` becomes, if it begins
// like a map line.
std::optional<MapLine> FindBrokenLine(size_t number, absl::string_view text) {
  for (const auto& [word, tag] : kTags) {
    if (tag != MapTag::kXen && tag != MapTag::kBios) continue;
    const size_t at = text.find(word);
    if (at == absl::string_view::npos ||
        !EndsWithWord(text.substr(0, at + word.size()), word)) {
      continue;
    }
    const absl::string_view rest =
        absl::StripAsciiWhitespace(text.substr(at + word.size()));
    if (!BeginsLikeAKernelsRange(rest)) return std::nullopt;
    return MapLine{number, std::string(rest), tag};
  }
  std::optional<absl::string_view> rest = TextAfter(text, kXenPrefix);
  if (!rest.has_value()) return std::nullopt;
  rest = absl::StripTrailingAsciiWhitespace(AfterXenPrefix(*rest));
  if (!BeginsLikeXensRange(*rest)) return std::nullopt;
  return MapLine{number, std::string(*rest), MapTag::kHypervisor};
}

// The part of a malformed line's range that is fit to be quoted.
absl::string_view RangeText(absl::string_view text) {
  const size_t end = text.find(']');
  return end == absl::string_view::npos ? text : text.substr(0, end + 1);
}

}  // namespace

bool MapLine::has_range() const { return ReadRange(text).has_value(); }

std::optional<MapLine> FindMapLine(size_t number, absl::string_view text) {
  const std::optional<size_t> range = FindRange(text);
  if (!range.has_value()) return FindBrokenLine(number, text);
  // A serial line may have lost the end of the previous line.
  auto broken = FindBrokenLine(number, text.substr(0, *range));
  if (broken.has_value()) return broken;
  const std::optional<MapTag> tag = TagOf(text.substr(0, *range));
  if (!tag.has_value()) return std::nullopt;
  text.remove_prefix(*range);
  if (*tag == MapTag::kNone && !IsUntaggedMapRange(text)) return std::nullopt;
  return MapLine{number, std::string(text), *tag};
}

absl::StatusOr<E820Entry> ParseMapLine(const MapLine& line) {
  const std::optional<Range> range = ReadRange(line.text);
  if (!range.has_value()) {
    return Malformed(line,
                     absl::StrCat(QuoteLogText(RangeText(line.text)),
                                  " is not of the form [mem 0xSTART-0xEND]"));
  }
  // The last byte of an empty range is one below its start.
  const bool empty = range->end_is_last && range->end + 1 == range->start;
  if (range->end < range->start && !empty) {
    return Malformed(
        line, absl::StrCat(QuoteLogText(range->text), " ends below its start"));
  }
  if (range->end > kMaxE820Address - (range->end_is_last ? 1 : 0)) {
    return Malformed(
        line, absl::StrFormat("%s ends above 0x%x, where physical "
                              "addresses end",
                              QuoteLogText(range->text), kMaxE820Address));
  }
  SIMVISOR_ASSIGN_OR_RETURN(const E820Type type, ReadType(line, *range));
  const uint64_t end = range->end + (range->end_is_last ? 1 : 0);
  return E820Entry{range->start, end - range->start, type};
}

}  // namespace simvisor
