#include "server/faults/convert_fault.h"

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "server/convert/argument.h"

namespace simvisor::server {
namespace {

// The longest name of a domain.
constexpr uint64_t kMaxNameBytes = 255;

absl::StatusOr<FaultPoint> ParsePoint(absl::string_view field,
                                      const std::string& name) {
  if (name.empty()) {
    return ArgumentMissing(field, "name a point, such as save.piece");
  }
  const std::optional<FaultPoint> point = ParseFaultPoint(name);
  if (point.has_value()) return *point;
  return ArgumentMalformed(
      field, absl::StrCat(Quoted(name),
                          " is not a fault point; ListFaults lists them, as "
                          "'simvisor fault list --points' does"));
}

absl::StatusOr<absl::StatusCode> ParseCode(absl::string_view field,
                                           const std::string& name) {
  if (name.empty()) return absl::StatusCode::kInternal;
  // 16 is the last canonical code.
  for (int number = 1; number <= 16; ++number) {
    const auto code = static_cast<absl::StatusCode>(number);
    if (absl::StatusCodeToString(code) == name) return code;
  }
  return ArgumentMalformed(
      field, absl::StrCat(Quoted(name),
                          " is not a canonical error code, such as "
                          "UNAVAILABLE"));
}

absl::Status ReadDelay(absl::string_view field, uint32_t delay_ms,
                       FaultRule& out) {
  if (delay_ms == 0) {
    return ArgumentMalformed(
        field, absl::StrCat("0: a delay has 1 to ", kMaxFaultDelayMs, " ms"));
  }
  SIMVISOR_RETURN_IF_ERROR(CheckAtMost(field, delay_ms, kMaxFaultDelayMs));
  out.action = FaultAction::kDelay;
  out.delay_ms = delay_ms;
  return absl::OkStatus();
}

absl::Status ReadAction(absl::string_view field, const v1::FaultRule& rule,
                        FaultRule& out) {
  switch (rule.action_case()) {
    case v1::FaultRule::kError: {
      out.action = FaultAction::kError;
      SIMVISOR_ASSIGN_OR_RETURN(
          out.code,
          ParseCode(absl::StrCat(field, ".error.code"), rule.error().code()));
      return absl::OkStatus();
    }
    case v1::FaultRule::kDelayMs:
      return ReadDelay(absl::StrCat(field, ".delay_ms"), rule.delay_ms(), out);
    case v1::FaultRule::kCrash:
      out.action = FaultAction::kCrash;
      return absl::OkStatus();
    case v1::FaultRule::ACTION_NOT_SET:
      break;
  }
  return ArgumentMissing(absl::StrCat(field, ".action"),
                         "give error, delay_ms or crash");
}

// Refuses what an allocation, which happens under locks, cannot do.
absl::Status CheckAllocation(absl::string_view field,
                             const v1::FaultRule& rule) {
  const std::string what =
      absl::StrCat(rule.point(), " is an allocation point, where a rule ");
  if (!rule.domain().empty()) {
    return ArgumentMalformed(
        absl::StrCat(field, ".domain"),
        absl::StrCat(what, "cannot name a domain; leave it empty"));
  }
  if (rule.has_delay_ms()) {
    return ArgumentMalformed(
        absl::StrCat(field, ".delay_ms"),
        absl::StrCat(what, "cannot delay; give error or crash"));
  }
  if (!rule.error().code().empty()) {
    return ArgumentMalformed(
        absl::StrCat(field, ".error.code"),
        absl::StrCat(what, "cannot choose the code; leave it empty"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FaultRule> FromProto(absl::string_view field,
                                    const v1::FaultRule& rule) {
  FaultRule out;
  SIMVISOR_ASSIGN_OR_RETURN(
      out.point, ParsePoint(absl::StrCat(field, ".point"), rule.point()));
  if (InfoOf(out.point).kind == FaultPointKind::kAllocation) {
    SIMVISOR_RETURN_IF_ERROR(CheckAllocation(field, rule));
  }
  SIMVISOR_RETURN_IF_ERROR(CheckAtMost(absl::StrCat(field, ".domain"),
                                       rule.domain().size(), kMaxNameBytes));
  SIMVISOR_RETURN_IF_ERROR(ReadAction(field, rule, out));
  out.domain = rule.domain();
  out.skip = rule.skip();
  out.count = rule.count();
  if (rule.has_probability()) out.probability = rule.probability();
  // Written so that it refuses NaN too.
  if (!(out.probability > 0 && out.probability <= 1)) {
    return ArgumentMalformed(
        absl::StrCat(field, ".probability"),
        absl::StrCat(out.probability, " is not above 0 and at most 1"));
  }
  return out;
}

void ToProto(const FaultRuleState& state, v1::Fault* out) {
  out->set_id(state.id);
  out->set_hits(state.hits);
  out->set_acted(state.acted);
  const FaultPointInfo& point = InfoOf(state.rule.point);
  v1::FaultRule* const rule = out->mutable_rule();
  rule->set_point(std::string(point.name));
  rule->set_domain(state.rule.domain);
  switch (state.rule.action) {
    case FaultAction::kError:
      rule->mutable_error();
      if (point.kind == FaultPointKind::kAllocation) break;
      rule->mutable_error()->set_code(
          absl::StatusCodeToString(state.rule.code));
      break;
    case FaultAction::kDelay:
      rule->set_delay_ms(state.rule.delay_ms);
      break;
    case FaultAction::kCrash:
      rule->mutable_crash();
      break;
  }
  rule->set_skip(state.rule.skip);
  rule->set_count(state.rule.count);
  rule->set_probability(state.rule.probability);
}

void ToProto(const FaultPointInfo& point, v1::FaultPoint* out) {
  out->set_name(std::string(point.name));
  out->set_description(std::string(point.description));
  out->set_allocation(point.kind == FaultPointKind::kAllocation);
}

}  // namespace simvisor::server
