#include "server/convert/vcpus.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "server/convert/argument.h"

namespace simvisor::server {
namespace {

// The most CPUs of a host, and virtual CPUs of a domain.
constexpr int kMaxRanges = 8192;
constexpr int kMaxVcpus = 8192;

absl::StatusOr<CpuRanges> RangesFromProto(absl::string_view field,
                                          const v1::CpuSet& set) {
  SIMVISOR_RETURN_IF_ERROR(CheckAtMost(absl::StrCat(field, ".ranges: number"),
                                       set.ranges_size(), kMaxRanges));
  CpuRanges ranges;
  ranges.reserve(set.ranges_size());
  for (const v1::CpuRange& range : set.ranges()) {
    ranges.push_back({range.first_cpu(), range.count()});
  }
  return ranges;
}

void RangesToProto(const CpuRanges& ranges, v1::CpuSet* out) {
  out->mutable_ranges()->Reserve(static_cast<int>(ranges.size()));
  for (const CpuRange& range : ranges) {
    v1::CpuRange* const added = out->add_ranges();
    added->set_first_cpu(range.first);
    added->set_count(range.count);
  }
}

}  // namespace

absl::StatusOr<AffinityChange> FromProto(
    const v1::SetVcpuAffinityRequest& request) {
  AffinityChange change;
  if (!request.has_hard() && !request.has_soft()) {
    return ArgumentMissing("hard and soft", "give the mask that is to change");
  }
  SIMVISOR_RETURN_IF_ERROR(
      CheckAtMost("vcpus: number", request.vcpus_size(), kMaxVcpus));
  change.vcpus.assign(request.vcpus().begin(), request.vcpus().end());
  if (request.has_hard()) {
    SIMVISOR_ASSIGN_OR_RETURN(change.hard,
                              RangesFromProto("hard", request.hard()));
  }
  if (request.has_soft()) {
    SIMVISOR_ASSIGN_OR_RETURN(change.soft,
                              RangesFromProto("soft", request.soft()));
  }
  return change;
}

absl::StatusOr<std::vector<VcpuAffinitySpec>> FromProto(
    absl::string_view field,
    const google::protobuf::RepeatedPtrField<v1::VcpuAffinity>& affinities) {
  std::vector<VcpuAffinitySpec> specs;
  specs.reserve(affinities.size());
  for (int i = 0; i < affinities.size(); ++i) {
    VcpuAffinitySpec spec;
    SIMVISOR_ASSIGN_OR_RETURN(
        spec.hard, RangesFromProto(absl::StrFormat("%s[%d].hard", field, i),
                                   affinities[i].hard()));
    SIMVISOR_ASSIGN_OR_RETURN(
        spec.soft, RangesFromProto(absl::StrFormat("%s[%d].soft", field, i),
                                   affinities[i].soft()));
    specs.push_back(std::move(spec));
  }
  return specs;
}

void ToProto(const VcpuInfo& info, v1::Vcpu* out) {
  out->set_vcpu(info.vcpu);
  RangesToProto(info.hard, out->mutable_hard());
  RangesToProto(info.soft, out->mutable_soft());
  out->set_mask_bytes(info.mask_bytes);
}

}  // namespace simvisor::server
