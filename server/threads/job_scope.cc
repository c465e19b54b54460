#include "server/threads/job_scope.h"

#include <algorithm>
#include <utility>

namespace simvisor::server {
namespace {

thread_local JobScope* current = nullptr;

}  // namespace

JobScope::JobScope(DomainLanes* lanes, Place place)
    : lanes_(lanes), place_(place), outer_(std::exchange(current, this)) {}

JobScope::~JobScope() {
  current = outer_;
  for (const auto& domain : entered_) lanes_->Leave(domain.get());
}

absl::Status JobScope::Enter(const std::shared_ptr<Domain>& domain) {
  JobScope* const scope = current;
  if (scope == nullptr || scope->place_ != Place::kShort) {
    return absl::OkStatus();
  }
  auto& entered = scope->entered_;
  if (std::find(entered.begin(), entered.end(), domain) != entered.end()) {
    return absl::OkStatus();
  }
  if (!scope->lanes_->Enter(domain.get())) {
    return scope->Take({Place::kLane, domain});
  }
  entered.push_back(domain);
  return absl::OkStatus();
}

absl::Status JobScope::BeginWork(bool is_short) {
  if (is_short || current == nullptr || current->place_ == Place::kLong ||
      current->place_ == Place::kWait) {
    return absl::OkStatus();
  }
  return current->Take({Place::kLong, nullptr});
}

absl::Status JobScope::BeginChange(const Domain& domain) {
  if (current == nullptr || current->place_ == Place::kWait ||
      !domain.ChangesWait()) {
    return absl::OkStatus();
  }
  return current->Take({Place::kWait, nullptr});
}

absl::Status JobScope::Take(Detour detour) {
  detour_ = std::move(detour);
  // Seen only by the caller of the body.
  return absl::AbortedError("the body runs elsewhere");
}

}  // namespace simvisor::server
