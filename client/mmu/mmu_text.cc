#include "client/mmu/mmu_text.h"

#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "client/ui/exit_code.h"
#include "client/ui/quantities.h"

namespace simvisor::client {
namespace {

std::string ReasonText(v1::InvalidateReason reason) {
  return ShortName(v1::InvalidateReason_Name(reason), "INVALIDATE_REASON_");
}

std::string BeginText(const v1::SubscribeResponse::RangeBegin& begin) {
  std::vector<std::string> extents;
  for (const v1::PfnExtent& pfns : begin.pfns()) {
    extents.push_back(RangeText(pfns.first_pfn(), pfns.count()));
  }
  return absl::StrCat("begin range ", begin.range_id(), ", ",
                      ReasonText(begin.reason()),
                      begin.blockable() ? "" : ", not blockable", ": ",
                      absl::StrJoin(extents, " "), begin.more() ? " ..." : "");
}

std::string InstalledText(const v1::SubscribeResponse::Installed& installed) {
  return absl::StrFormat("installed %s at mfn 0x%x, %s",
                         RangeText(installed.pfn(), installed.count()),
                         installed.mfn(),
                         installed.writable() ? "writable" : "read-only");
}

std::string AnswerText(const v1::SubscribeResponse& event) {
  switch (event.message_case()) {
    case v1::SubscribeResponse::kInstalled:
      return InstalledText(event.installed());
    case v1::SubscribeResponse::kNotMapped:
      return absl::StrCat(
          "not mapped: the page is ",
          ShortName(v1::P2mClass_Name(event.not_mapped().p2m_class()),
                    "P2M_CLASS_"));
    case v1::SubscribeResponse::kRetry:
      return absl::StrCat("retry, ",
                          ShortName(v1::RetryCause_Name(event.retry().cause()),
                                    "RETRY_CAUSE_"));
    case v1::SubscribeResponse::kFaultError:
      return absl::StrCat("fault refused: ", event.fault_error().reason());
    case v1::SubscribeResponse::kRenewed:
      return event.renewed().extended()
                 ? "lease renewed"
                 : "lease not extended: an answer is owing";
    default:
      return "another message";
  }
}

}  // namespace

absl::StatusOr<v1::PfnExtent> ParsePfnRange(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> ends =
      absl::StrSplit(text, absl::MaxSplits('-', 1));
  v1::PfnExtent pfns;
  if (!absl::StrContains(text, '-')) {
    SIMVISOR_ASSIGN_OR_RETURN(pfns, ParsePfns(text));
  } else {
    SIMVISOR_ASSIGN_OR_RETURN(const uint64_t low,
                              ParseNumber("pfn", ends.first));
    SIMVISOR_ASSIGN_OR_RETURN(const uint64_t high,
                              ParseNumber("pfn", ends.second));
    if (high < low) {
      return UsageError(
          absl::StrCat(Quoted(text), ": the first pfn is above the last"));
    }
    pfns.set_first_pfn(low);
    pfns.set_count(high - low + 1);
  }
  if (pfns.count() == 0) {
    return UsageError(absl::StrCat(Quoted(text), ": no page"));
  }
  return pfns;
}

absl::StatusOr<uint32_t> ParseMilliseconds(absl::string_view what,
                                           absl::string_view text) {
  absl::Duration time;
  if (!absl::ParseDuration(text, &time) || time < absl::ZeroDuration() ||
      time > absl::Milliseconds(std::numeric_limits<uint32_t>::max())) {
    return UsageError(absl::StrCat(what, ": ", Quoted(text),
                                   " is not a time such as 5s or 250ms"));
  }
  return static_cast<uint32_t>(absl::ToInt64Milliseconds(time));
}

std::string RangeText(uint64_t first, uint64_t count) {
  if (count <= 1) return absl::StrFormat("0x%x", first);
  return absl::StrFormat("0x%x-0x%x", first, first + count - 1);
}

std::string ShortName(absl::string_view name, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
}

std::string StateText(v1::SecondaryMmuState state) {
  return ShortName(v1::SecondaryMmuState_Name(state), "SECONDARY_MMU_STATE_");
}

std::string RuleText(v1::RetryRule rule) {
  return ShortName(v1::RetryRule_Name(rule), "RETRY_RULE_");
}

std::string FilterText(v1::EventFilter filter) {
  return ShortName(v1::EventFilter_Name(filter), "EVENT_FILTER_");
}

std::string EventText(const v1::SubscribeResponse& event) {
  switch (event.message_case()) {
    case v1::SubscribeResponse::kRegistered:
      return absl::StrCat("subscription ", event.registered().subscription(),
                          ", epoch ", event.registered().epoch(), ", lease ",
                          event.registered().lease_ms(), " ms");
    case v1::SubscribeResponse::kBegin:
      return BeginText(event.begin());
    case v1::SubscribeResponse::kEnd:
      return absl::StrCat("end of range ", event.end().range_id());
    case v1::SubscribeResponse::kAbort:
      return absl::StrCat("abort of range ", event.abort().range_id(),
                          ": nothing has changed");
    case v1::SubscribeResponse::kPage:
      return absl::StrFormat("page 0x%x, %s", event.page().pfn(),
                             ReasonText(event.page().reason()));
    case v1::SubscribeResponse::kYoung:
      return absl::StrCat("which are young of ",
                          RangeText(event.young().pfns().first_pfn(),
                                    event.young().pfns().count()));
    case v1::SubscribeResponse::kRelease:
      return absl::StrCat(
          "release: ",
          ShortName(v1::ReleaseReason_Name(event.release().reason()),
                    "RELEASE_REASON_"),
          event.release().target().empty() ? "" : " to ",
          event.release().target());
    case v1::SubscribeResponse::kUnregistered:
      return "unregistered";
    default:
      return AnswerText(event);
  }
}

}  // namespace simvisor::client
