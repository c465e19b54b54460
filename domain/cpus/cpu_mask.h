// Sets of the host's CPUs, used as affinity masks of virtual CPUs.
//
// HostCpus knows the number of CPUs and owns the words that masks share: the
// table of single CPUs, and one mask of all CPUs.  A mask of one CPU or of all
// CPUs is a view of these words; any other CpuMask has words of its own.  So a
// mask costs memory only if it must.
//
// Thread safety: HostCpus is immutable after construction; CpuMask is a value.

#ifndef SIMVISOR_DOMAIN_CPUS_CPU_MASK_H_
#define SIMVISOR_DOMAIN_CPUS_CPU_MASK_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "domain/cpus/cpu_mask_table.h"

namespace simvisor {

// The most CPUs that a host may have; Linux's largest NR_CPUS.
inline constexpr uint32_t kMaxHostCpus = 8192;

// CPUs [first, first + count); where a mask is asked for, a count of 0 means
// all CPUs from `first` on.
struct CpuRange {
  uint32_t first = 0;
  uint32_t count = 0;

  friend bool operator==(const CpuRange&, const CpuRange&) = default;
};

// A set of CPUs that is not empty.  Valid while its HostCpus lives.
class CpuMask {
 public:
  // One bit per CPU; CPU 0 is the lowest bit of the first word.
  absl::Span<const uint64_t> words() const {
    return own_.empty() ? shared_ : absl::MakeConstSpan(own_);
  }

  // Bytes of the words that this mask does not share; 0 for a view.
  uint64_t own_bytes() const { return own_.size() * sizeof(uint64_t); }

  // The set as the fewest ranges, ascending.
  std::vector<CpuRange> Ranges() const;

 private:
  friend class HostCpus;
  explicit CpuMask(absl::Span<const uint64_t> shared) : shared_(shared) {}
  explicit CpuMask(std::vector<uint64_t> own) : own_(std::move(own)) {}

  absl::Span<const uint64_t> shared_;
  std::vector<uint64_t> own_;
};

class HostCpus {
 public:
  // REQUIRES: cpus is in [1, kMaxHostCpus].
  explicit HostCpus(uint32_t cpus);

  HostCpus(const HostCpus&) = delete;
  HostCpus& operator=(const HostCpus&) = delete;

  uint32_t count() const { return table_.cpus(); }
  CpuMaskTableSize table_size() const { return table_.Size(); }

  CpuMask All() const { return CpuMask(absl::MakeConstSpan(all_)); }
  bool IsAll(const CpuMask& mask) const {
    return mask.words().data() == all_.data();
  }

  // The union of `ranges`, which may come in any order and overlap; an empty
  // list means all CPUs.  INVALID_ARGUMENT CPU_INVALID for a CPU that the host
  // does not have; the message begins with `what`.
  absl::StatusOr<CpuMask> MakeMask(absl::string_view what,
                                   absl::Span<const CpuRange> ranges) const;

  // INTERNAL if the table or the mask of all CPUs is wrong.
  absl::Status CheckInvariants() const;
  // INTERNAL if `mask` is empty, names a CPU beyond the last, or has words of
  // its own although it needs none.
  absl::Status CheckMask(const CpuMask& mask) const;

 private:
  // The mask with these bits; a shared one if it exists.
  CpuMask FromWords(std::vector<uint64_t> words) const;

  const CpuMaskTable<uint64_t> table_;
  const std::vector<uint64_t> all_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_CPUS_CPU_MASK_H_
