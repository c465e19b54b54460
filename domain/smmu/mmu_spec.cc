// What a subscription may ask for.

#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/smmu/secondary_mmus.h"

namespace simvisor {
namespace {

absl::Status TooLarge(const Context& context, absl::string_view field,
                      const std::string& text, uint64_t value, uint64_t limit) {
  return context.Refuse(absl::StatusCode::kInvalidArgument,
                        Reason::kArgumentTooLarge, "", text,
                        {{fact::kField, field},
                         {fact::kRequested, value},
                         {fact::kLimit, limit}});
}

absl::Status CheckName(const Context& context, const std::string& name) {
  if (name.empty()) {
    return context.Refuse(
        absl::StatusCode::kInvalidArgument, Reason::kArgumentMissing, "",
        "name is empty; give the subscription a name for lists and logs",
        {{fact::kField, "name"}});
  }
  if (name.size() <= MmuLimits::kMaxNameBytes) return absl::OkStatus();
  return TooLarge(context, "name",
                  absl::StrFormat("name has %d bytes; it may have %d",
                                  name.size(), MmuLimits::kMaxNameBytes),
                  name.size(), MmuLimits::kMaxNameBytes);
}

absl::Status BadRange(const Context& context, PfnExtent pfns,
                      absl::string_view why) {
  return context.Refuse(
      absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
      absl::StrFormat("of %d pfns from 0x%x", pfns.count.value(),
                      pfns.first.value()),
      why,
      {{fact::kField, "intervals"}, {fact::kValue, Hex(pfns.first.value())}});
}

absl::Status CheckIntervals(const Context& context,
                            std::vector<PfnExtent> intervals) {
  if (intervals.size() > MmuLimits::kMaxIntervals) {
    return context.Refuse(
        absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid, "",
        absl::StrFormat("it has %d intervals; it may have %d", intervals.size(),
                        MmuLimits::kMaxIntervals),
        {{fact::kField, "intervals"},
         {fact::kRequested, intervals.size()},
         {fact::kLimit, MmuLimits::kMaxIntervals}});
  }
  std::sort(
      intervals.begin(), intervals.end(),
      [](const PfnExtent& a, const PfnExtent& b) { return a.first < b.first; });
  for (size_t i = 0; i < intervals.size(); ++i) {
    const PfnExtent pfns = intervals[i];
    if (pfns.empty()) {
      return BadRange(context, pfns, "an interval has at least one pfn");
    }
    if (!FitsWithin(pfns.first, pfns.count, kEveryPfn.end())) {
      return BadRange(context, pfns, "no domain has pfns of 2^62 and more");
    }
    if (i > 0 && intervals[i - 1].end() > pfns.first) {
      return BadRange(context, pfns,
                      "it overlaps another interval of the subscription; join "
                      "them");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SecondaryMmus::CheckSpec(const Context& context,
                                      const MmuSpec& spec) {
  SIMVISOR_RETURN_IF_ERROR(CheckName(context, spec.name));
  SIMVISOR_RETURN_IF_ERROR(CheckIntervals(context, spec.intervals));
  if (spec.lease < MmuLimits::kMinLease || spec.lease > MmuLimits::kMaxLease) {
    return TooLarge(
        context, "lease_ms",
        absl::StrFormat("a lease of %s; it lasts from %s to %s",
                        absl::FormatDuration(spec.lease),
                        absl::FormatDuration(MmuLimits::kMinLease),
                        absl::FormatDuration(MmuLimits::kMaxLease)),
        static_cast<uint64_t>(absl::ToInt64Milliseconds(spec.lease)),
        static_cast<uint64_t>(absl::ToInt64Milliseconds(MmuLimits::kMaxLease)));
  }
  if (spec.fault_window > 0 &&
      spec.fault_window <= MmuLimits::kMaxFaultWindow) {
    return absl::OkStatus();
  }
  return TooLarge(
      context, "fault_window",
      absl::StrFormat("a window of %d faults; it has 1 to %d",
                      spec.fault_window, MmuLimits::kMaxFaultWindow),
      spec.fault_window, MmuLimits::kMaxFaultWindow);
}

}  // namespace simvisor
