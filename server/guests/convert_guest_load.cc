#include "server/guests/convert_guest_load.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "domain/units/units.h"
#include "server/convert/argument.h"

namespace simvisor::server {
namespace {

absl::StatusOr<LoadPattern> PatternFromProto(v1::LoadPattern pattern) {
  switch (pattern) {
    case v1::LOAD_PATTERN_SEQUENTIAL:
      return LoadPattern::kSequential;
    case v1::LOAD_PATTERN_UNSPECIFIED:
    case v1::LOAD_PATTERN_RANDOM:
      return LoadPattern::kRandom;
    case v1::LOAD_PATTERN_HOTSPOT:
      return LoadPattern::kHotspot;
    default:
      return UnknownValue("spec.pattern", pattern,
                          "LOAD_PATTERN_SEQUENTIAL, LOAD_PATTERN_RANDOM or "
                          "LOAD_PATTERN_HOTSPOT");
  }
}

v1::LoadPattern PatternToProto(LoadPattern pattern) {
  switch (pattern) {
    case LoadPattern::kSequential:
      return v1::LOAD_PATTERN_SEQUENTIAL;
    case LoadPattern::kRandom:
      return v1::LOAD_PATTERN_RANDOM;
    case LoadPattern::kHotspot:
      break;
  }
  return v1::LOAD_PATTERN_HOTSPOT;
}

}  // namespace

absl::StatusOr<LoadSpec> FromProto(const v1::LoadSpec& spec) {
  SIMVISOR_RETURN_IF_ERROR(CheckAtMost("spec.pages_per_second",
                                       spec.pages_per_second(),
                                       LoadSpec::kMaxPagesPerSecond));
  LoadSpec out;
  SIMVISOR_ASSIGN_OR_RETURN(out.pattern, PatternFromProto(spec.pattern()));
  out.pages_per_second = spec.pages_per_second();
  out.working_set = PageCount(spec.working_set_pages());
  out.seed = spec.seed();
  return out;
}

void ToProto(const LoadReport& report, v1::GuestLoad* out) {
  v1::LoadSpec* spec = out->mutable_spec();
  spec->set_pages_per_second(report.spec.pages_per_second);
  spec->set_working_set_pages(report.spec.working_set.value());
  spec->set_pattern(PatternToProto(report.spec.pattern));
  spec->set_seed(report.spec.seed);
  out->set_writes(report.writes);
  out->set_running(report.running);
}

void ToProto(const LoadCheck& check, v1::CheckGuestLoadResponse* out) {
  ToProto(check.load, out->mutable_load());
  out->set_checked_pages(check.checked.value());
  out->set_mismatched_pages(check.mismatches.value());
  if (!check.first_bad.is_none()) {
    out->set_first_bad_pfn(check.first_bad.value());
  }
}

}  // namespace simvisor::server
