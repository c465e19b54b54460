// How many subscriptions all domains of a machine may have together, and their
// numbers.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_DOMAIN_SMMU_MMU_QUOTA_H_
#define SIMVISOR_DOMAIN_SMMU_MMU_QUOTA_H_

#include <atomic>
#include <cstdint>

#include "absl/status/statusor.h"
#include "base/allocation_faults.h"
#include "domain/smmu/mmu_types.h"
#include "domain/units/operation.h"

namespace simvisor {

class MmuQuota {
 public:
  // `faults` may be null, and must outlive it.
  explicit MmuQuota(AllocationFaults* faults = nullptr,
                    uint32_t limit = MmuLimits::kPerDaemon)
      : faults_(faults), limit_(limit) {}
  MmuQuota(const MmuQuota&) = delete;
  MmuQuota& operator=(const MmuQuota&) = delete;

  // The right to one subscription; given back at its end.  Movable.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept;
    Place& operator=(Place&& other) noexcept;
    ~Place();

    SubscriptionId id() const { return id_; }

   private:
    friend class MmuQuota;
    Place(MmuQuota* quota, SubscriptionId id) : quota_(quota), id_(id) {}

    MmuQuota* quota_ = nullptr;
    SubscriptionId id_{};
  };

  // RESOURCE_EXHAUSTED SECONDARY_MMUS_EXHAUSTED if the limit is reached, or if
  // AllocationSite::kSecondaryMmu fails.
  absl::StatusOr<Place> Take(const Context& context);

 private:
  AllocationFaults* const faults_;
  const uint32_t limit_;
  std::atomic<uint32_t> taken_ = 0;
  std::atomic<uint64_t> last_id_ = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_MMU_QUOTA_H_
