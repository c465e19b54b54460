// Which CPUs each virtual CPU of a domain may run on (hard affinity), and which
// it prefers (soft affinity).
//
// A virtual CPU without an entry runs anywhere, so a domain without pinning
// stores nothing.  The masks are stored and shown; nothing is scheduled.  A
// virtual CPU takes at most 2 KiB (two masks on a host of 8192 CPUs), and
// nothing for masks of one CPU or of all CPUs.
//
// Thread safety: thread-compatible; Domain guards it with a lock of its own.

#ifndef SIMVISOR_DOMAIN_CPUS_VCPU_AFFINITIES_H_
#define SIMVISOR_DOMAIN_CPUS_VCPU_AFFINITIES_H_

#include <cassert>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "domain/cpus/cpu_mask.h"

namespace simvisor {

// Ranges whose union is a mask; see HostCpus::MakeMask().
using CpuRanges = std::vector<CpuRange>;

// The affinities requested for one virtual CPU.
struct VcpuAffinitySpec {
  CpuRanges hard;  // empty: all CPUs
  CpuRanges soft;
};

// The affinities of one virtual CPU, for display.
struct VcpuInfo {
  uint32_t vcpu = 0;
  CpuRanges hard;
  CpuRanges soft;
  bool anywhere = false;    // both masks contain all CPUs
  uint64_t mask_bytes = 0;  // of words that its two masks do not share
};

class VcpuAffinities {
 public:
  // All of `vcpus` virtual CPUs run anywhere.  `cpus` must outlive this object.
  VcpuAffinities(const HostCpus& cpus, uint32_t vcpus)
      : cpus_(cpus), vcpus_(vcpus) {}

  // The affinities of a new domain: one spec for all virtual CPUs, or spec i
  // for virtual CPU i.  INVALID_ARGUMENT: VCPU_OUT_OF_RANGE (more specs than
  // virtual CPUs), CPU_INVALID.  The message begins with `what`.
  static absl::StatusOr<VcpuAffinities> Create(
      const HostCpus& cpus, uint32_t vcpus, absl::string_view what,
      absl::Span<const VcpuAffinitySpec> specs);

  // A change that has been checked: Apply() cannot fail.
  class Change {
   private:
    friend class VcpuAffinities;
    std::vector<uint32_t> vcpus_;
    std::optional<CpuMask> hard_;
    std::optional<CpuMask> soft_;
  };

  // Checks a change of masks of `vcpus`, or of all virtual CPUs if it is empty;
  // a null mask stays as it is.  Reads nothing that Apply() changes.
  // INVALID_ARGUMENT VCPU_OUT_OF_RANGE, CPU_INVALID.
  absl::StatusOr<Change> Check(absl::string_view what,
                               absl::Span<const uint32_t> vcpus,
                               const CpuRanges* hard,
                               const CpuRanges* soft) const;
  void Apply(const Change& change);

  // Virtual CPUs from `first` on, ascending, at most `limit`.
  std::vector<VcpuInfo> List(uint32_t first, size_t limit) const;

  // Raises the number of virtual CPUs to `vcpus`; the new ones run anywhere.
  // REQUIRES: vcpus is not below the current number.
  void Grow(uint32_t vcpus) {
    assert(vcpus >= vcpus_);
    vcpus_ = vcpus;
  }

  // Lets every virtual CPU run anywhere.
  void Clear() { own_.clear(); }

  // INTERNAL for an entry beyond the last virtual CPU or one that is not
  // needed, and as for HostCpus::CheckMask().
  absl::Status CheckInvariants() const;

 private:
  struct Masks {
    CpuMask hard;
    CpuMask soft;
  };

  void Set(uint32_t vcpu, const std::optional<CpuMask>& hard,
           const std::optional<CpuMask>& soft);
  absl::Status CheckVcpu(absl::string_view what, uint32_t vcpu) const;

  const HostCpus& cpus_;
  uint32_t vcpus_;
  // Virtual CPUs with at least one mask that is not all CPUs.
  absl::btree_map<uint32_t, Masks> own_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_CPUS_VCPU_AFFINITIES_H_
