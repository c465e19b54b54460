#include "domain/vm/vcpus.h"

#include <cassert>
#include <utility>

#include "base/status_macros.h"

namespace simvisor {

Vcpus::Vcpus(const DomainIdentity& domain, uint32_t count,
             VcpuAffinities affinities, const LifeEnd& end)
    : domain_(domain),
      end_(end),
      count_(count),
      affinities_(std::move(affinities)) {}

absl::Status Vcpus::SetAffinity(absl::Span<const uint32_t> vcpus,
                                const CpuRanges* hard, const CpuRanges* soft) {
  absl::MutexLock lock(&mu_);
  // A domain is dying before it takes this lock and clears the masks, so no
  // mask is set after that.
  if (end_.dying()) return Life::DyingError(domain_);
  SIMVISOR_ASSIGN_OR_RETURN(
      const VcpuAffinities::Change change,
      affinities_.Check(domain_.ToString(), vcpus, hard, soft));
  affinities_.Apply(change);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<VcpuInfo>> Vcpus::List(uint32_t first,
                                                  size_t limit) const {
  absl::MutexLock lock(&mu_);
  if (end_.dying()) return Life::DyingError(domain_);
  return affinities_.List(first, limit);
}

void Vcpus::Grow(uint32_t count) {
  absl::MutexLock lock(&mu_);
  if (count <= this->count()) return;
  affinities_.Grow(count);
  count_.store(count, std::memory_order_relaxed);
}

void Vcpus::Clear() {
  assert(end_.dying());
  absl::MutexLock lock(&mu_);
  affinities_.Clear();
}

absl::Status Vcpus::CheckInvariants() const {
  absl::MutexLock lock(&mu_);
  return affinities_.CheckInvariants();
}

}  // namespace simvisor
