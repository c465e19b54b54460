#include "server/size.h"

#include <cstdint>
#include <limits>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "domain/units/error.h"
#include "server/quote.h"

namespace simvisor::server {
namespace {

constexpr int kMiBShift = 20;

// Bits that the unit shifts by; nullopt if the letter is none.
std::optional<int> UnitShift(char letter) {
  switch (absl::ascii_tolower(letter)) {
    case 't':
      return 40;
    case 'g':
      return 30;
    case 'm':
      return kMiBShift;
    case 'k':
      return 10;
    case 'b':
      return 0;
    default:
      return std::nullopt;
  }
}

bool AllDigits(absl::string_view text) {
  for (char c : text) {
    if (!absl::ascii_isdigit(c)) return false;
  }
  return !text.empty();
}

absl::Status BadSize(Reason reason, absl::string_view text,
                     absl::string_view problem) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason,
                   absl::StrCat("size ", Quoted(text), ": ", problem));
}

}  // namespace

absl::StatusOr<PageCount> ParseSize(absl::string_view text) {
  absl::string_view digits = text;
  int shift = kMiBShift;
  if (!text.empty() && !absl::ascii_isdigit(text.back())) {
    const std::optional<int> unit = UnitShift(text.back());
    if (unit.has_value()) {
      shift = *unit;
      digits.remove_suffix(1);
    }
  }
  if (!AllDigits(digits)) {
    return BadSize(Reason::kArgumentMalformed, text,
                   "not a number with an optional unit t, g, m, k or b; write "
                   "4g or 512m");
  }
  uint64_t number = 0;
  if (!absl::SimpleAtoi(digits, &number) ||
      number > std::numeric_limits<uint64_t>::max() >> shift) {
    return BadSize(Reason::kArgumentTooLarge, text,
                   "sizes end below 2^64 bytes (16777216t)");
  }
  const uint64_t bytes = number << shift;
  if (bytes % kPageSize != 0) {
    return BadSize(Reason::kArgumentMalformed, text,
                   "not a whole number of 4 KiB pages; round to a multiple of "
                   "4k");
  }
  return PageCount(bytes / kPageSize);
}

}  // namespace simvisor::server
