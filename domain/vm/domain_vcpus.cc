// Virtual CPUs of a domain and where they run.

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/vm/domain.h"

namespace simvisor {

absl::Status Domain::SetVcpuAffinity(const Operation&,
                                     absl::Span<const uint32_t> vcpus,
                                     const CpuRanges* hard,
                                     const CpuRanges* soft) {
  absl::MutexLock lock(&affinity_mu_);
  // Die() sets it before it takes this lock and clears the masks, so none is
  // left behind in a dying domain.
  if (end_.dying()) return Life::DyingError(id_);
  SIMVISOR_ASSIGN_OR_RETURN(
      const VcpuAffinities::Change change,
      affinities_.Check(absl::StrFormat("domain %d", id_.value()), vcpus, hard,
                        soft));
  affinities_.Apply(change);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<VcpuInfo>> Domain::ListVcpus(uint32_t first,
                                                        size_t limit) const {
  absl::MutexLock lock(&affinity_mu_);
  if (end_.dying()) return Life::DyingError(id_);
  return affinities_.List(first, limit);
}

VcpuAffinities Domain::CopyAffinities() const {
  absl::MutexLock lock(&affinity_mu_);
  return affinities_;
}

}  // namespace simvisor
