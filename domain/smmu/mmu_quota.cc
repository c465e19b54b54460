#include "domain/smmu/mmu_quota.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"

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
  if (faults_ != nullptr && faults_->FailNow(AllocationSite::kSecondaryMmu)) {
    return context.Refuse(absl::StatusCode::kResourceExhausted,
                          Reason::kSecondaryMmusExhausted, "",
                          "there is no memory for another subscription; end "
                          "one first");
  }
  if (taken_.fetch_add(1) >= limit_) {
    taken_.fetch_sub(1);
    return context.Refuse(
        absl::StatusCode::kResourceExhausted, Reason::kSecondaryMmusExhausted,
        "",
        absl::StrFormat("the daemon has %d subscriptions, the most there may "
                        "be; end one first",
                        limit_),
        {{fact::kLimit, limit_}, {fact::kUnit, "subscriptions"}});
  }
  return Place(this, SubscriptionId(last_id_.fetch_add(1) + 1));
}

}  // namespace simvisor
