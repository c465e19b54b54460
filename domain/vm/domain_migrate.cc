// What a live migration asks of a domain: its dirty log, and the time in which
// another host may run it.

#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/vm/domain.h"

namespace simvisor {

absl::StatusOr<LiveGuest> Domain::StartLogDirty(absl::string_view operation) {
  absl::MutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(CheckCanSuspend(operation));
  SIMVISOR_RETURN_IF_ERROR(CheckNotMigrating(operation));
  dirty_.Enable();
  return LiveGuest{.arch = abi_->arch,
                   .last_pfn = list_->last_pfn(),
                   .generation = words_->generation(),
                   .pages = current_ - unmapped_frames_.size()};
}

absl::Status Domain::CheckNotMigrating(absl::string_view operation) const {
  if (!dirty_.enabled()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kDomainMigrating,
      absl::StrFormat("domain %d: %s: a migration of it is under way; wait for "
                      "its end, or cancel it",
                      id_.value(), operation));
}

absl::StatusOr<DirtyPages> Domain::CleanLogDirty() {
  absl::MutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(CheckAlive());
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

absl::Status Domain::BeginHandover() {
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(CheckAlive());
  if (doomed_) return DyingError();
  if (!suspended_) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kDomainNotRunning,
        absl::StrFormat("domain %d: handover: its guest is not suspended",
                        id_.value()));
  }
  handover_ = Handover::kOutgoing;
  return absl::OkStatus();
}

void Domain::EndHandover() {
  const ChangeLock lock(this);
  handover_ = Handover::kNone;
}

absl::Status Domain::BeginDestroy() {
  absl::MutexLock lock(&mu_);
  if (handover_ == Handover::kNone) {
    doomed_ = true;
    return absl::OkStatus();
  }
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kDomainMigrating,
      absl::StrFormat(
          "domain %d: destroy: %s; it is settled by itself once the "
          "two daemons have spoken, or by migrate-resolve",
          id_.value(),
          handover_ == Handover::kOutgoing
              ? "it is being handed over to another host, which "
                "may run it by now"
              : "it is arriving from another host, which may still "
                "run it"));
}

}  // namespace simvisor
