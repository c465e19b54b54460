#include "client/ui/quantities.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "base/size.h"
#include "base/status_macros.h"
#include "base/uuid.h"
#include "client/api/text_check.h"
#include "client/ui/exit_code.h"
#include "client/ui/similar_word.h"

namespace simvisor::client {
namespace {

constexpr uint64_t kPageBytes = 4096;

bool AllDigits(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(c);
  });
}

// SimpleAtoi() takes signs and spaces, which no number here has.
std::optional<uint64_t> ToNumber(absl::string_view text) {
  uint64_t value = 0;
  if (absl::ConsumePrefix(&text, "0x") || absl::ConsumePrefix(&text, "0X")) {
    const bool digits = std::all_of(text.begin(), text.end(), [](char c) {
      return absl::ascii_isxdigit(c);
    });
    if (!digits || !absl::SimpleHexAtoi(text, &value)) return std::nullopt;
    return value;
  }
  if (!AllDigits(text) || !absl::SimpleAtoi(text, &value)) return std::nullopt;
  return value;
}

// Bytes of "512m"; nullopt if it is not a size with a suffix, or above 2^64.
std::optional<uint64_t> ToBytes(absl::string_view text) {
  if (!HasSizeUnit(text)) return std::nullopt;
  const absl::StatusOr<uint64_t> bytes = ParseSize(text);
  if (!bytes.ok()) return std::nullopt;
  return *bytes;
}

bool IsTooLarge(const absl::Status& status) {
  return simvisor::ReasonOf(status) ==
         std::string(ReasonName(Reason::kArgumentTooLarge));
}

// "; 1.5g is 1536m" for a fraction that is a whole number of the next smaller
// unit; else empty.
std::string SmallerUnit(absl::string_view text) {
  constexpr absl::string_view kUnits = "tgmkb";
  if (!HasSizeUnit(text)) return "";
  const absl::string_view number = text.substr(0, text.size() - 1);
  const size_t unit = kUnits.find(absl::ascii_tolower(text.back()));
  const size_t dot = number.find('.');
  const bool is_fraction =
      dot != absl::string_view::npos && unit + 1 < kUnits.size() &&
      AllDigits(number.substr(0, dot)) && AllDigits(number.substr(dot + 1));
  double value = 0;
  if (!is_fraction || !absl::SimpleAtod(number, &value)) return "";
  const double smaller = value * 1024;
  constexpr double kExact = 1e15;  // doubles have all whole numbers below
  if (smaller >= kExact || smaller != std::floor(smaller)) return "";
  return absl::StrCat("; ", text, " is ", static_cast<uint64_t>(smaller),
                      kUnits.substr(unit + 1, 1));
}

struct Range {
  uint64_t first = 0;
  uint64_t count = 1;
};

// FIRST or FIRST+COUNT, each named as given in errors.
absl::StatusOr<Range> ParseRange(absl::string_view first_name,
                                 absl::string_view count_name,
                                 absl::string_view text) {
  const size_t plus = text.find('+');
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t first,
                            ParseNumber(first_name, text.substr(0, plus)));
  if (plus == absl::string_view::npos) return Range{first, 1};
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t count,
                            ParseNumber(count_name, text.substr(plus + 1)));
  return Range{first, count};
}

}  // namespace

absl::StatusOr<uint64_t> ParseNumber(absl::string_view what,
                                     absl::string_view text) {
  const auto value = ToNumber(text);
  if (value) return *value;
  return UsageError(
      absl::StrCat(what, " '", ShortWord(text),
                   "': must be a whole number below 2^64, decimal or 0x...",
                   HasSizeUnit(text) && absl::ascii_isdigit(text.front())
                       ? ", without a unit"
                       : ""));
}

absl::StatusOr<uint64_t> ParseXlMemory(absl::string_view text) {
  const absl::StatusOr<uint64_t> bytes = ParseSize(text);
  if (bytes.ok()) return *bytes / kPageBytes;
  return UsageError(absl::StrCat(
      "invalid memory size: ", text.empty() ? "''" : ShortWord(text), "; ",
      IsTooLarge(bytes.status())
          ? "a size must be below 2^64 bytes"
          : absl::StrCat("give MiB as a whole decimal number, or one with t, "
                         "g, m, k or b",
                         SmallerUnit(text))));
}

absl::StatusOr<uint64_t> ParsePages(absl::string_view text) {
  if (const auto pages = ToNumber(text)) return *pages;
  const auto bytes = ToBytes(text);
  if (!bytes) {
    return UsageError(absl::StrCat(
        "'", ShortWord(text),
        "': must be a number of pages, or a size such as 512m (t, g, m, k or "
        "b)",
        IsTooLarge(ParseSize(text).status()) ? ", below 2^64"
                                             : SmallerUnit(text)));
  }
  if (*bytes % kPageBytes != 0) {
    return UsageError(
        absl::StrCat("'", text, "': not a whole number of 4 KiB pages"));
  }
  return *bytes / kPageBytes;
}

absl::StatusOr<uint64_t> ParseBytes(absl::string_view text) {
  if (const auto number = ToNumber(text)) return *number;
  if (const auto bytes = ToBytes(text)) return *bytes;
  return UsageError(absl::StrCat(
      "'", ShortWord(text),
      "': must be a whole number of bytes, or of t, g, m, k or b, such as 100m",
      IsTooLarge(ParseSize(text).status()) ? ", below 2^64"
                                           : SmallerUnit(text)));
}

absl::StatusOr<v1::MfnExtent> ParseFrames(absl::string_view text) {
  SIMVISOR_ASSIGN_OR_RETURN(const Range range,
                            ParseRange("mfn", "number of frames", text));
  v1::MfnExtent extent;
  extent.set_first_mfn(range.first);
  extent.set_count(range.count);
  return extent;
}

absl::StatusOr<v1::PfnExtent> ParsePfns(absl::string_view text) {
  SIMVISOR_ASSIGN_OR_RETURN(const Range range,
                            ParseRange("pfn", "number of pages", text));
  v1::PfnExtent extent;
  extent.set_first_pfn(range.first);
  extent.set_count(range.count);
  return extent;
}

absl::StatusOr<v1::DomainRef> ParseDomain(absl::string_view text) {
  v1::DomainRef ref;
  if (text.empty()) return UsageError("the domain is empty; name one");
  if (AllDigits(text)) {
    uint32_t domid = 0;
    if (!absl::SimpleAtoi(text, &domid)) {
      return UsageError(
          absl::StrCat("domain '", text, "': domids are 0 to 32751"));
    }
    ref.set_domid(domid);
  } else if (HasUuidForm(text)) {
    ref.set_uuid(std::string(text));
  } else {
    SIMVISOR_RETURN_IF_ERROR(AsUsageError(CheckUtf8("domain name", text)));
    ref.set_name(std::string(text));
  }
  return ref;
}

std::string FormatPages(uint64_t pages) {
  constexpr uint64_t kPagesPerMib = (1 << 20) / kPageBytes;
  if (pages % kPagesPerMib == 0)
    return absl::StrCat(pages / kPagesPerMib, " MiB");
  return absl::StrCat(pages, pages == 1 ? " page" : " pages");
}

}  // namespace simvisor::client
