#include "domain/cpus/vcpu_affinities.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace simvisor {

absl::StatusOr<VcpuAffinities> VcpuAffinities::Create(
    const HostCpus& cpus, uint32_t vcpus, absl::string_view what,
    absl::Span<const VcpuAffinitySpec> specs) {
  if (specs.size() > vcpus) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kVcpuOutOfRange,
        absl::StrFormat("%s: %d affinities for %d virtual CPUs; give one for "
                        "all, or at most one for each",
                        what, specs.size(), vcpus),
        {{fact::kRequested, specs.size()},
         {fact::kLimit, vcpus},
         {fact::kUnit, "vcpus"}});
  }
  VcpuAffinities made(cpus, vcpus);
  for (uint32_t i = 0; i < specs.size(); ++i) {
    const std::vector<uint32_t> one = {i};
    SIMVISOR_ASSIGN_OR_RETURN(
        const Change change,
        made.Check(what, specs.size() == 1 ? absl::Span<const uint32_t>() : one,
                   &specs[i].hard, &specs[i].soft));
    made.Apply(change);
  }
  return made;
}

absl::Status VcpuAffinities::CheckVcpu(absl::string_view what,
                                       uint32_t vcpu) const {
  if (vcpu < vcpus_) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kVcpuOutOfRange,
      absl::StrFormat("%s: virtual CPU %d: it has virtual CPUs 0 to %d", what,
                      vcpu, vcpus_ - 1),
      {{fact::kValue, vcpu}, {fact::kLimit, vcpus_ - 1}});
}

absl::StatusOr<VcpuAffinities::Change> VcpuAffinities::Check(
    absl::string_view what, absl::Span<const uint32_t> vcpus,
    const CpuRanges* hard, const CpuRanges* soft) const {
  Change change;
  for (const uint32_t vcpu : vcpus) {
    SIMVISOR_RETURN_IF_ERROR(CheckVcpu(what, vcpu));
  }
  change.vcpus_.assign(vcpus.begin(), vcpus.end());
  if (hard != nullptr) {
    SIMVISOR_ASSIGN_OR_RETURN(
        change.hard_,
        cpus_.MakeMask(absl::StrFormat("%s: hard affinity", what), *hard));
  }
  if (soft != nullptr) {
    SIMVISOR_ASSIGN_OR_RETURN(
        change.soft_,
        cpus_.MakeMask(absl::StrFormat("%s: soft affinity", what), *soft));
  }
  return change;
}

void VcpuAffinities::Apply(const Change& change) {
  for (const uint32_t vcpu : change.vcpus_) {
    Set(vcpu, change.hard_, change.soft_);
  }
  if (!change.vcpus_.empty()) return;
  for (uint32_t vcpu = 0; vcpu < vcpus_; ++vcpu) {
    Set(vcpu, change.hard_, change.soft_);
  }
}

void VcpuAffinities::Set(uint32_t vcpu, const std::optional<CpuMask>& hard,
                         const std::optional<CpuMask>& soft) {
  auto at = own_.find(vcpu);
  if (at == own_.end()) {
    at = own_.emplace(vcpu, Masks{cpus_.All(), cpus_.All()}).first;
  }
  Masks& masks = at->second;
  if (hard.has_value()) masks.hard = *hard;
  if (soft.has_value()) masks.soft = *soft;
  if (cpus_.IsAll(masks.hard) && cpus_.IsAll(masks.soft)) own_.erase(at);
}

std::vector<VcpuInfo> VcpuAffinities::List(uint32_t first, size_t limit) const {
  std::vector<VcpuInfo> listed;
  const CpuRanges all = cpus_.All().Ranges();
  auto at = own_.lower_bound(first);
  for (uint32_t vcpu = first; vcpu < vcpus_ && listed.size() < limit; ++vcpu) {
    if (at == own_.end() || at->first != vcpu) {
      listed.push_back(
          {.vcpu = vcpu, .hard = all, .soft = all, .anywhere = true});
      continue;
    }
    const Masks& masks = at->second;
    listed.push_back(
        {.vcpu = vcpu,
         .hard = masks.hard.Ranges(),
         .soft = masks.soft.Ranges(),
         .mask_bytes = masks.hard.own_bytes() + masks.soft.own_bytes()});
    ++at;
  }
  return listed;
}

absl::Status VcpuAffinities::CheckInvariants() const {
  for (const auto& [vcpu, masks] : own_) {
    if (vcpu >= vcpus_) {
      return absl::InternalError(absl::StrFormat(
          "virtual CPU %d has an affinity, but there are %d", vcpu, vcpus_));
    }
    SIMVISOR_RETURN_IF_ERROR(cpus_.CheckMask(masks.hard));
    SIMVISOR_RETURN_IF_ERROR(cpus_.CheckMask(masks.soft));
    if (cpus_.IsAll(masks.hard) && cpus_.IsAll(masks.soft)) {
      return absl::InternalError(absl::StrFormat(
          "virtual CPU %d runs anywhere and has an entry", vcpu));
    }
  }
  return absl::OkStatus();
}

}  // namespace simvisor
