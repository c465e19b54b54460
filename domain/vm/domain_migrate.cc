// What a live migration asks of a domain: its dirty log, and the time in which
// another host may run it.

#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/vm/domain.h"

namespace simvisor {

absl::StatusOr<LiveGuest> Domain::StartLogDirty(const Operation& operation) {
  const Context context(id_, operation.name);
  absl::MutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kCanSuspend));
  SIMVISOR_RETURN_IF_ERROR(CheckCanTravel(context));
  SIMVISOR_RETURN_IF_ERROR(CheckNotMigrating(context));
  dirty_.Enable();
  return LiveGuest{.arch = abi_->arch,
                   .last_pfn = list_->last_pfn(),
                   .generation = words_->generation(),
                   .pages = reservation_.current() - unmapped_frames_.size()};
}

absl::Status Domain::CheckNotMigrating(const Context& context) const {
  if (!dirty_.enabled()) return absl::OkStatus();
  return context.Refuse(
      absl::StatusCode::kFailedPrecondition, Reason::kDomainMigrating, "",
      "a migration of it is under way; wait for its end, or cancel it");
}

absl::StatusOr<DirtyPages> Domain::CleanLogDirty() {
  absl::MutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(Check({id_, "clean the dirty log"}, Needs::kAlive));
  return DirtyPages{dirty_.Clean(), words_->generation()};
}

PageCount Domain::PeekLogDirty() const {
  absl::ReaderMutexLock lock(&mu_);
  return dirty_.count();
}

void Domain::StopLogDirty() {
  absl::MutexLock lock(&mu_);
  dirty_.Disable();
}

absl::Status Domain::BeginHandover(const Operation& operation) {
  const ChangeLock lock(this);
  return life_.BeginHandover({id_, operation.name}, pool_.HeldBy(id_));
}

void Domain::EndHandover() {
  const ChangeLock lock(this);
  life_.EndHandover();
}

absl::Status Domain::BeginDestroy(const Operation& operation) {
  absl::MutexLock lock(&mu_);
  return life_.BeginDestroy({id_, operation.name});
}

}  // namespace simvisor
