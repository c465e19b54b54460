// On which CPUs each virtual CPU of a domain may, and had better, run.
//
// A virtual CPU without an entry runs anywhere, so a domain that nobody has
// pinned stores nothing.  The masks are remembered and shown; nothing is
// scheduled.  At most 2 KiB for each virtual CPU (two masks on a host of 8192
// CPUs), and none for masks of one CPU or of all.
//
// Thread safety: thread-compatible; Domain guards it with a lock of its own.

#ifndef SIMVISOR_DOMAIN_CPUS_VCPU_AFFINITIES_H_
#define SIMVISOR_DOMAIN_CPUS_VCPU_AFFINITIES_H_

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

// Ranges that make a mask; see HostCpus::MakeMask().
using CpuRanges = std::vector<CpuRange>;

// What is asked for one virtual CPU.
struct VcpuAffinitySpec {
  CpuRanges hard;  // none: all CPUs
  CpuRanges soft;
};

// One virtual CPU as it is shown.
struct VcpuInfo {
  uint32_t vcpu = 0;
  CpuRanges hard;
  CpuRanges soft;
  bool anywhere = false;    // both masks are of all CPUs
  uint64_t mask_bytes = 0;  // of words that only its own two masks have
};

class VcpuAffinities {
 public:
  // All of `vcpus` virtual CPUs run anywhere.  `cpus` must outlive this object.
  VcpuAffinities(const HostCpus& cpus, uint32_t vcpus)
      : cpus_(cpus), vcpus_(vcpus) {}

  // What a domain is created with: one spec for all virtual CPUs, or spec i for
  // virtual CPU i.  INVALID_ARGUMENT: VCPU_OUT_OF_RANGE (more specs than
  // virtual CPUs), CPU_INVALID.  `what` begins the message.
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

  // Checks a change of `vcpus`, all of them if it is empty, to masks, of which
  // null leaves one as it is.  Looks at nothing that Apply() changes.
  // INVALID_ARGUMENT VCPU_OUT_OF_RANGE, CPU_INVALID.
  absl::StatusOr<Change> Check(absl::string_view what,
                               absl::Span<const uint32_t> vcpus,
                               const CpuRanges* hard,
                               const CpuRanges* soft) const;
  void Apply(const Change& change);

  // Virtual CPUs from `first` on, ascending, at most `limit`.
  std::vector<VcpuInfo> List(uint32_t first, size_t limit) const;

  // Lets there be `vcpus` virtual CPUs, the new ones running anywhere.
  // REQUIRES: at least as many as there are.
  void Grow(uint32_t vcpus) { vcpus_ = vcpus; }

  // Lets every virtual CPU run anywhere.
  void Clear() { own_.clear(); }

  // INTERNAL for an entry that no virtual CPU has or that need not be there,
  // and as HostCpus::CheckMask().
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
  // Virtual CPUs of which one mask at least is not that of all CPUs.
  absl::btree_map<uint32_t, Masks> own_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_CPUS_VCPU_AFFINITIES_H_
