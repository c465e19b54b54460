#include "base/size.h"

#include <limits>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/quote.h"

namespace simvisor {
namespace {

constexpr int kMiBShift = 20;

// How many bits the unit shifts by; nullopt if the letter is not a unit.
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
                   absl::StrCat("size ", Quoted(text), ": ", problem),
                   {{fact::kValue, text}});
}

constexpr uint64_t kPagesPerMiB = 256;

}  // namespace

std::string SizeOfPages(uint64_t pages) {
  if (pages == 1) return "1 page";
  if (pages < kPagesPerMiB) return absl::StrCat(pages, " pages");
  std::string size = absl::StrCat(pages / kPagesPerMiB);
  // Rounded down: a limit or what is free must not seem larger than it is.
  if (const uint64_t rest = pages % kPagesPerMiB; rest != 0) {
    absl::StrAppend(&size, ".", rest * 10 / kPagesPerMiB);
  }
  return absl::StrCat(size, " MiB (", pages, " pages)");
}

bool HasSizeUnit(absl::string_view text) {
  return !text.empty() && UnitShift(text.back()).has_value();
}

absl::StatusOr<uint64_t> ParseSize(absl::string_view text) {
  absl::string_view digits = text;
  int shift = kMiBShift;
  if (HasSizeUnit(text)) {
    shift = *UnitShift(text.back());
    digits.remove_suffix(1);
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
                   "a size must be below 2^64 bytes (16777216t)");
  }
  return number << shift;
}

}  // namespace simvisor
