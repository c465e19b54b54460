// The virtual CPUs of a domain, and where they may run.
//
// Thread safety: all methods may be called from any thread, and none waits for
// an operation on the domain.  The lock is a leaf: nothing is locked under it.

#ifndef SIMVISOR_DOMAIN_VM_VCPUS_H_
#define SIMVISOR_DOMAIN_VM_VCPUS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "domain/cpus/vcpu_affinities.h"
#include "domain/units/domain_identity.h"
#include "domain/vm/life.h"

namespace simvisor {

class Vcpus {
 public:
  // The virtual CPUs of `domain`.  `affinities` are of `count` virtual CPUs.
  // `domain` and `end` must outlive this object.
  Vcpus(const DomainIdentity& domain, uint32_t count, VcpuAffinities affinities,
        const LifeEnd& end);

  // Takes no lock, because every change of a domain reads it.  Nothing else is
  // ordered by it.
  uint32_t count() const { return count_.load(std::memory_order_relaxed); }

  // Changes the affinity of `vcpus`, of all if it is empty; a null mask stays
  // as it is.  FAILED_PRECONDITION DOMAIN_DYING; INVALID_ARGUMENT
  // VCPU_OUT_OF_RANGE, CPU_INVALID.
  // Source: libxl_set_vcpuaffinity(), vcpu_affinity_domctl().
  absl::Status SetAffinity(absl::Span<const uint32_t> vcpus,
                           const CpuRanges* hard, const CpuRanges* soft)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Virtual CPUs from `first` on, ascending, at most `limit`; none past the
  // last.  FAILED_PRECONDITION DOMAIN_DYING.
  absl::StatusOr<std::vector<VcpuInfo>> List(uint32_t first, size_t limit) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Adds virtual CPUs, which may run anywhere, until there are `count`.
  void Grow(uint32_t count) ABSL_LOCKS_EXCLUDED(mu_);
  // Forgets all masks for good.
  // REQUIRES: `end` says that the domain is dying.
  void Clear() ABSL_LOCKS_EXCLUDED(mu_);
  // As VcpuAffinities::CheckInvariants().
  absl::Status CheckInvariants() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const DomainIdentity& domain_;
  const LifeEnd& end_;
  mutable absl::Mutex mu_;
  std::atomic<uint32_t> count_;  // written under mu_, with affinities_
  VcpuAffinities affinities_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_VCPUS_H_
