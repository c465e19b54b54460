#include "domain/smmu/mmu_quota.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace simvisor {

MmuQuota::Place::Place(Place&& other) noexcept
    : quota_(std::exchange(other.quota_, nullptr)), id_(other.id_) {}

MmuQuota::Place& MmuQuota::Place::operator=(Place&& other) noexcept {
  std::swap(quota_, other.quota_);
  std::swap(id_, other.id_);
  return *this;
}

MmuQuota::Place::~Place() {
  if (quota_ != nullptr) quota_->taken_.fetch_sub(1);
}

absl::StatusOr<MmuQuota::Place> MmuQuota::Take(const Context& context) {
  // Take one first, so that two threads cannot both take the last place.
  Place place(this, SubscriptionId{0});
  if (taken_.fetch_add(1) >= limit_) {
    return context.Refuse(
        absl::StatusCode::kResourceExhausted, Reason::kSecondaryMmusExhausted,
        "",
        absl::StrCat("the daemon's limit of ", limit_,
                     " subscriptions is reached; end some first"),
        {{fact::kLimit, limit_}, {fact::kUnit, "subscriptions"}});
  }
  if (faults_ != nullptr && faults_->FailNow(AllocationSite::kSecondaryMmu)) {
    return context.Refuse(absl::StatusCode::kResourceExhausted,
                          Reason::kSecondaryMmusExhausted, "",
                          "the daemon has no memory for another subscription");
  }
  place.id_ = SubscriptionId{last_id_.fetch_add(1) + 1};
  return place;
}

}  // namespace simvisor
