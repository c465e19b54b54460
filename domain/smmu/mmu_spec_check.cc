// What a subscription may ask for.

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "domain/smmu/secondary_mmus.h"

namespace simvisor {
namespace {

absl::Status InvalidSpec(const Context& context, Reason reason,
                         absl::string_view field, absl::string_view text) {
  return context.Refuse(absl::StatusCode::kInvalidArgument, reason, "", text,
                        {{fact::kField, field}});
}

absl::Status CheckMmuName(const Context& context, absl::string_view name) {
  if (name.empty()) {
    return InvalidSpec(context, Reason::kArgumentMissing, "name",
                       "it has no name");
  }
  if (name.size() > MmuLimits::kMaxNameBytes) {
    return InvalidSpec(
        context, Reason::kArgumentTooLarge, "name",
        absl::StrCat("its name has ", name.size(), " bytes; at most ",
                     MmuLimits::kMaxNameBytes, " may be"));
  }
  return absl::OkStatus();
}

absl::Status CheckIntervals(const Context& context,
                            std::vector<PfnExtent> intervals) {
  if (intervals.size() > MmuLimits::kMaxIntervals) {
    return InvalidSpec(
        context, Reason::kRangeInvalid, "intervals",
        absl::StrCat("it names ", intervals.size(), " intervals; at most ",
                     MmuLimits::kMaxIntervals, " may be"));
  }
  std::sort(intervals.begin(), intervals.end(),
            [](PfnExtent a, PfnExtent b) { return a.first < b.first; });
  Pfn end(0);
  for (const PfnExtent interval : intervals) {
    if (interval.empty() || interval.first < end ||
        !FitsWithin(interval.first, interval.count, kEveryPfn.end())) {
      return InvalidSpec(
          context, Reason::kRangeInvalid, "intervals",
          absl::StrFormat("the interval of %d pages at pfn %#x is empty, too "
                          "large, or overlaps another",
                          interval.count.value(), interval.first.value()));
    }
    end = interval.end();
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckMmuSpec(const Context& context, const MmuSpec& spec) {
  SIMVISOR_RETURN_IF_ERROR(CheckMmuName(context, spec.name));
  SIMVISOR_RETURN_IF_ERROR(CheckIntervals(context, spec.intervals));
  if (spec.lease < MmuLimits::kMinLease || spec.lease > MmuLimits::kMaxLease) {
    return InvalidSpec(
        context, Reason::kArgumentMalformed, "lease",
        absl::StrCat("its lease is ", absl::FormatDuration(spec.lease),
                     "; it must be from ",
                     absl::FormatDuration(MmuLimits::kMinLease), " to ",
                     absl::FormatDuration(MmuLimits::kMaxLease)));
  }
  if (spec.fault_window < 1 || spec.fault_window > MmuLimits::kMaxFaultWindow) {
    return InvalidSpec(context, Reason::kArgumentMalformed, "fault_window",
                       absl::StrCat("its window is ", spec.fault_window,
                                    " faults; it must be from 1 to ",
                                    MmuLimits::kMaxFaultWindow));
  }
  return absl::OkStatus();
}

}  // namespace simvisor
