#include "server/mmus/convert_mmu.h"

#include <cassert>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "server/convert/argument.h"
#include "server/convert/common.h"

namespace simvisor::server {
namespace {

absl::StatusOr<RetryRule> FromProto(v1::RetryRule rule, bool has_intervals) {
  switch (rule) {
    case v1::RETRY_RULE_UNSPECIFIED:
      return has_intervals ? RetryRule::kInterval : RetryRule::kGlobal;
    case v1::RETRY_RULE_GLOBAL:
      return RetryRule::kGlobal;
    case v1::RETRY_RULE_INTERVAL:
      return RetryRule::kInterval;
    default:
      return UnknownValue("register.rule", rule,
                          "RETRY_RULE_GLOBAL or RETRY_RULE_INTERVAL");
  }
}

absl::StatusOr<EventFilter> FromProto(v1::EventFilter filter) {
  switch (filter) {
    case v1::EVENT_FILTER_UNSPECIFIED:
    case v1::EVENT_FILTER_ALL:
      return EventFilter::kAll;
    case v1::EVENT_FILTER_MAPPED:
      return EventFilter::kMapped;
    default:
      return UnknownValue("register.events", filter,
                          "EVENT_FILTER_ALL or EVENT_FILTER_MAPPED");
  }
}

v1::RetryRule ToProto(RetryRule rule) {
  return rule == RetryRule::kGlobal ? v1::RETRY_RULE_GLOBAL
                                    : v1::RETRY_RULE_INTERVAL;
}

v1::EventFilter ToProto(EventFilter filter) {
  return filter == EventFilter::kAll ? v1::EVENT_FILTER_ALL
                                     : v1::EVENT_FILTER_MAPPED;
}

v1::InvalidateReason ToProto(InvalidateReason reason) {
  switch (reason) {
    case InvalidateReason::kUnmap:
      return v1::INVALIDATE_REASON_UNMAP;
    case InvalidateReason::kReplace:
      return v1::INVALIDATE_REASON_REPLACE;
    case InvalidateReason::kProtect:
      return v1::INVALIDATE_REASON_PROTECT;
    case InvalidateReason::kSuspend:
      return v1::INVALIDATE_REASON_SUSPEND;
    case InvalidateReason::kMigrate:
      return v1::INVALIDATE_REASON_MIGRATE;
    case InvalidateReason::kBoot:
      break;
  }
  return v1::INVALIDATE_REASON_BOOT;
}

v1::ReleaseReason ToProto(ReleaseReason reason) {
  switch (reason) {
    case ReleaseReason::kDestroyed:
      return v1::RELEASE_REASON_DESTROYED;
    case ReleaseReason::kMigrated:
      return v1::RELEASE_REASON_MIGRATED;
    case ReleaseReason::kShutdown:
      break;
  }
  return v1::RELEASE_REASON_SHUTDOWN;
}

v1::RetryCause ToProto(RetryCause cause) {
  switch (cause) {
    case RetryCause::kInvalidating:
      return v1::RETRY_CAUSE_INVALIDATING;
    case RetryCause::kChanged:
      return v1::RETRY_CAUSE_CHANGED;
    case RetryCause::kThrottled:
      break;
  }
  return v1::RETRY_CAUSE_THROTTLED;
}

v1::SecondaryMmuState ToProto(SubscriptionState state) {
  switch (state) {
    case SubscriptionState::kLive:
      return v1::SECONDARY_MMU_STATE_LIVE;
    case SubscriptionState::kDetached:
      return v1::SECONDARY_MMU_STATE_DETACHED;
    case SubscriptionState::kFenced:
    case SubscriptionState::kGone:
      break;
  }
  return v1::SECONDARY_MMU_STATE_FENCED;
}

uint32_t ToMilliseconds(absl::Duration duration) {
  const int64_t ms = absl::ToInt64Milliseconds(duration);
  if (ms <= 0) return 0;
  constexpr int64_t kMost = std::numeric_limits<uint32_t>::max();
  return static_cast<uint32_t>(ms < kMost ? ms : kMost);
}

uint64_t ToMicroseconds(absl::Duration duration) {
  const int64_t us = absl::ToInt64Microseconds(duration);
  return us <= 0 ? 0 : static_cast<uint64_t>(us);
}

std::string ReasonText(const absl::Status& status) {
  return ReasonOf(status).value_or(std::string(ReasonName(Reason::kInternal)));
}

// Fills in the body of one message.
struct Fill {
  v1::SubscribeResponse& out;

  void operator()(const mmu::Registered& from) const {
    auto& to = *out.mutable_registered();
    to.set_subscription(static_cast<uint64_t>(from.subscription));
    to.set_token(from.token);
    to.set_epoch(from.epoch);
    to.set_seq(from.seq);
    to.set_lease_ms(ToMilliseconds(from.lease));
  }
  void operator()(const mmu::Resumed&) const { out.mutable_resumed(); }
  void operator()(const mmu::RangeBegin& from) const {
    auto& to = *out.mutable_begin();
    to.set_range_id(static_cast<uint64_t>(from.range));
    for (const PfnExtent& extent : from.pfns) {
      server::ToProto(extent, to.add_pfns());
    }
    to.set_reason(ToProto(from.reason));
    to.set_blockable(from.blockable);
    to.set_more(from.more);
  }
  void operator()(const mmu::RangeEnd& from) const {
    out.mutable_end()->set_range_id(static_cast<uint64_t>(from.range));
    out.mutable_end()->set_seq(from.seq);
  }
  void operator()(const mmu::RangeAbort& from) const {
    out.mutable_abort()->set_range_id(static_cast<uint64_t>(from.range));
    out.mutable_abort()->set_seq(from.seq);
  }
  void operator()(const mmu::PageInvalidate& from) const {
    auto& to = *out.mutable_page();
    to.set_range_id(static_cast<uint64_t>(from.range));
    to.set_pfn(from.pfn.value());
    to.set_reason(ToProto(from.reason));
  }
  void operator()(const mmu::Young& from) const {
    server::ToProto(from.pfns, out.mutable_young()->mutable_pfns());
    out.mutable_young()->set_clear(from.clear);
  }
  void operator()(const mmu::Release& from) const {
    out.mutable_release()->set_reason(ToProto(from.reason));
    out.mutable_release()->set_target(from.target);
  }
  void operator()(const mmu::Resolved& from) const {
    auto& to = *out.mutable_resolved();
    to.set_req(from.req);
    to.set_mfn(from.mfn.value());
    to.set_seq(from.seq);
  }
  void operator()(const mmu::Installed& from) const {
    auto& to = *out.mutable_installed();
    to.set_req(from.req);
    to.set_pfn(from.pfn.value());
    to.set_mfn(from.mfn.value());
    to.set_count(from.count);
    to.set_writable(from.writable);
  }
  void operator()(const mmu::NotMapped& from) const {
    out.mutable_not_mapped()->set_req(from.req);
    out.mutable_not_mapped()->set_p2m_class(server::ToProto(from.p2m_class));
  }
  void operator()(const mmu::Retry& from) const {
    out.mutable_retry()->set_req(from.req);
    out.mutable_retry()->set_cause(ToProto(from.cause));
  }
  void operator()(const mmu::FaultError& from) const {
    auto& to = *out.mutable_fault_error();
    to.set_req(from.req);
    to.set_code(absl::StatusCodeToString(from.status.code()));
    to.set_reason(ReasonText(from.status));
  }
  void operator()(const mmu::Renewed& from) const {
    out.mutable_renewed()->set_nonce(from.nonce);
    out.mutable_renewed()->set_extended(from.extended);
  }
  void operator()(const mmu::Watched& from) const {
    out.mutable_watched()->set_req(from.req);
    out.mutable_watched()->set_deferred(from.deferred);
  }
  void operator()(const mmu::Unwatched& from) const {
    out.mutable_unwatched()->set_req(from.req);
  }
  void operator()(const mmu::Unregistered&) const {
    out.mutable_unregistered();
  }
  void operator()(const mmu::Fenced&) const { assert(false); }
  void operator()(const mmu::Accessed& from) const {
    auto& to = *out.mutable_accessed();
    to.set_req(from.req);
    to.set_data(from.data);
    if (!from.status.ok()) to.set_reason(ReasonText(from.status));
  }
};

}  // namespace

absl::StatusOr<PfnExtent> FromProto(absl::string_view field,
                                    const v1::PfnExtent& extent) {
  const uint64_t first = extent.first_pfn();
  if (extent.count() > 0 &&
      extent.count() <= std::numeric_limits<uint64_t>::max() - first) {
    return PfnExtent{Pfn(first), PageCount(extent.count())};
  }
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
      absl::StrFormat("%s: %d pfns from 0x%x on are %s; name at least one, and "
                      "none beyond 2^64 - 1",
                      field, extent.count(), first,
                      extent.count() == 0 ? "none" : "too many"),
      {{fact::kField, field}, {fact::kValue, Hex(first)}});
}

absl::StatusOr<std::vector<PfnExtent>> FromProto(
    absl::string_view field,
    const google::protobuf::RepeatedPtrField<v1::PfnExtent>& extents,
    size_t most) {
  SIMVISOR_RETURN_IF_ERROR(
      CheckAtMost(absl::StrCat("number of ", field), extents.size(), most));
  std::vector<PfnExtent> result;
  result.reserve(extents.size());
  for (const v1::PfnExtent& extent : extents) {
    SIMVISOR_ASSIGN_OR_RETURN(
        const PfnExtent converted,
        FromProto(absl::StrCat(field, "[", result.size(), "]"), extent));
    result.push_back(converted);
  }
  return result;
}

absl::StatusOr<MmuSpec> FromProto(const v1::SubscribeRequest::Register& spec) {
  MmuSpec result;
  result.name = spec.name();
  SIMVISOR_ASSIGN_OR_RETURN(result.intervals,
                            FromProto("register.intervals", spec.intervals(),
                                      MmuLimits::kMaxIntervals));
  SIMVISOR_ASSIGN_OR_RETURN(result.rule,
                            FromProto(spec.rule(), /*has_intervals=*/
                                      !result.intervals.empty()));
  SIMVISOR_ASSIGN_OR_RETURN(result.events, FromProto(spec.events()));
  if (spec.lease_ms() != 0) result.lease = absl::Milliseconds(spec.lease_ms());
  if (spec.fault_window() != 0) result.fault_window = spec.fault_window();
  result.resumable = spec.resumable();
  result.expect_epoch = spec.expect_epoch();
  return result;
}

FaultRequest FromProto(const v1::SubscribeRequest::Fault& fault) {
  return {.req = fault.req(),
          .pfn = Pfn(fault.pfn()),
          .write = fault.write(),
          .ahead = fault.ahead(),
          .two_step = fault.two_step(),
          .wait = fault.wait()};
}

void ToProto(const PfnExtent& extent, v1::PfnExtent* out) {
  out->set_first_pfn(extent.first.value());
  out->set_count(extent.count.value());
}

void ToProto(const mmu::Message& message, v1::SubscribeResponse* out) {
  out->set_ev(message.ev);
  std::visit(Fill{*out}, message.body);
}

void ToProto(DomainId domain, const MmuInfo& info, v1::SecondaryMmu* out) {
  out->set_subscription(static_cast<uint64_t>(info.id));
  out->set_domid(domain.value());
  out->set_name(info.name);
  out->set_state(ToProto(info.state));
  out->set_rule(ToProto(info.rule));
  out->set_events(ToProto(info.events));
  for (const PfnExtent& extent : info.intervals) {
    ToProto(extent, out->add_intervals());
  }
  out->set_mapped_pages(info.mapped.value());
  out->set_writable_pages(info.writable.value());
  out->set_mapped_runs(info.mapped_runs);
  out->set_faults(info.faults);
  out->set_installs(info.installs);
  out->set_retries(info.retries);
  out->set_throttled(info.throttled);
  out->set_parked(info.parked);
  out->set_begins(info.begins);
  out->set_ends(info.ends);
  out->set_aborts(info.aborts);
  out->set_pages_invalidated(info.invalidated.value());
  out->set_stale_accesses(info.stale_accesses);
  out->set_unanswered_events(info.unanswered_events);
  out->set_oldest_unanswered_ms(ToMilliseconds(info.oldest_unanswered));
  out->set_max_answer_us(ToMicroseconds(info.max_answer));
  out->set_lease_left_ms(ToMilliseconds(info.lease_left));
}

void ToProto(const MappingRun& run, v1::SecondaryMappingRun* out) {
  out->set_first_pfn(run.pfn.value());
  out->set_first_mfn(run.mfn.value());
  out->set_count(run.count.value());
  out->set_writable(run.writable);
}

}  // namespace simvisor::server
