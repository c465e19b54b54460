#include "client/xl/cpu_set.h"

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace simvisor::client {
namespace {

// The most CPUs that a host can have.
constexpr uint32_t kMaxCpus = 8192;

// A set of CPUs of a host whose size is unknown: one bit for each possible CPU,
// and one more bit for all CPUs beyond, which a full set includes.
using Bits = std::vector<bool>;
constexpr uint32_t kBeyond = kMaxCpus;

struct NumberRange {
  uint32_t first = 0;
  uint32_t last = 0;
};

absl::Status InvalidRange(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("Invalid pcpu range: ", text, ".\n", why));
}

// Parses N or N-M.
absl::StatusOr<NumberRange> ParseCpuRange(absl::string_view text) {
  const std::vector<absl::string_view> ends =
      absl::StrSplit(text, absl::MaxSplits('-', 1));
  std::vector<uint32_t> numbers;
  for (const absl::string_view end : ends) {
    uint32_t number = 0;
    const bool digits =
        !end.empty() && std::all_of(end.begin(), end.end(), [](char c) {
          return absl::ascii_isdigit(c);
        });
    if (!digits) {
      return InvalidRange(text,
                          "a set of CPUs is all, or numbers and ranges "
                          "between commas: 0-3,5,^1");
    }
    if (!absl::SimpleAtoi(end, &number) || number >= kMaxCpus) {
      return InvalidRange(text, absl::StrCat("CPUs end at ", kMaxCpus - 1));
    }
    numbers.push_back(number);
  }
  if (numbers.back() < numbers.front()) {
    return InvalidRange(text, "the range ends before it begins");
  }
  return NumberRange{numbers.front(), numbers.back()};
}

// Adds the CPUs of one piece to `bits`, or removes them.
absl::Status ApplyPiece(absl::string_view piece, Bits& bits) {
  piece = absl::StripAsciiWhitespace(piece);
  const bool add = !absl::ConsumePrefix(&piece, "^");
  const bool nodes = absl::ConsumePrefix(&piece, "node:") ||
                     absl::ConsumePrefix(&piece, "nodes:");
  NumberRange range = {0, kBeyond};
  if (piece == "all") {
    if (!add) {
      return absl::InvalidArgumentError("Can't combine \"^\" and \"all\".");
    }
  } else {
    SIMVISOR_ASSIGN_OR_RETURN(const auto numbers, ParseCpuRange(piece));
    if (!nodes) range = numbers;
    if (nodes && numbers.last > 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("libxl_node_to_cpumap failed.\nnode ", numbers.last,
                       ": the host has one node, 0"));
    }
  }
  std::fill(bits.begin() + range.first, bits.begin() + range.last + 1, add);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::CpuSet> ParseCpuSet(absl::string_view text) {
  Bits bits(kBeyond + 1);
  for (const absl::string_view piece :
       absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    SIMVISOR_RETURN_IF_ERROR(ApplyPiece(piece, bits));
  }
  v1::CpuSet set;
  const auto end = bits.begin() + kBeyond;
  auto at = std::find(bits.begin(), end, true);
  if (at == end) {
    return absl::InvalidArgumentError(
        absl::StrCat("CPUs '", text, "': no CPU is left to run on"));
  }
  // The full set is written without ranges.
  if (std::find(bits.begin(), bits.end(), false) == bits.end()) return set;
  while (at != end) {
    const auto stop = std::find(at, end, false);
    v1::CpuRange* const range = set.add_ranges();
    range->set_first_cpu(static_cast<uint32_t>(at - bits.begin()));
    const bool open = stop == end && bits[kBeyond];
    range->set_count(open ? 0 : static_cast<uint32_t>(stop - at));
    at = std::find(stop, end, true);
  }
  return set;
}

std::string FormatCpuSet(const v1::CpuSet& set, uint32_t host_cpus) {
  if (set.ranges().empty()) return "all";
  std::string text;
  for (const v1::CpuRange& range : set.ranges()) {
    const uint64_t end = range.count() == 0
                             ? host_cpus
                             : uint64_t{range.first_cpu()} + range.count();
    if (range.first_cpu() == 0 && end == host_cpus) return "all";
    absl::StrAppend(&text, text.empty() ? "" : ",", range.first_cpu());
    if (end > range.first_cpu() + uint64_t{1}) {
      absl::StrAppend(&text, "-", end - 1);
    }
  }
  return text;
}

}  // namespace simvisor::client
