#include "domain/vm/life.h"

#include <cassert>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace simvisor {
namespace {

std::string HandoverText(Handover handover) {
  return absl::StrCat(
      handover == Handover::kOutgoing
          ? "it is being handed over to another host, which may run it by now"
          : "it is arriving from another host, which may still run it",
      "; it settles once the two daemons have spoken, or by migrate-resolve");
}

}  // namespace

absl::Status Life::Check(const Context& context, Needs needs,
                         PageCount held) const {
  if (needs == Needs::kNothing) return absl::OkStatus();
  if (dying()) {
    absl::Status status = DyingError(context.domain(), held);
    SetFact({fact::kOperation, context.operation()}, status);
    return status;
  }
  switch (needs) {
    case Needs::kNothing:
    case Needs::kAlive:
      return absl::OkStatus();
    case Needs::kBooted:
      return CheckBooted(context);
    case Needs::kNotSuspended:
      return CheckNotSuspended(context);
    case Needs::kBootedNotSuspended:
      SIMVISOR_RETURN_IF_ERROR(CheckBooted(context));
      return CheckNotSuspended(context);
    case Needs::kRunning:
      SIMVISOR_RETURN_IF_ERROR(CheckNotSuspended(context));
      return CheckRuns(context, "its balloon driver cannot answer");
    case Needs::kNotSuspendedOwnKernel:
    case Needs::kCanSuspend:
    case Needs::kCanStartLoad:
      break;
  }
  SIMVISOR_RETURN_IF_ERROR(CheckNotSuspended(context));
  SIMVISOR_RETURN_IF_ERROR(CheckOwnKernel(context));
  if (needs == Needs::kNotSuspendedOwnKernel) return absl::OkStatus();
  return CheckRuns(context, needs == Needs::kCanSuspend
                                ? "it cannot suspend"
                                : "it cannot start a program");
}

absl::Status Life::DyingError(const DomainIdentity& domain, PageCount held) {
  const std::string until =
      held == PageCount(0)
          ? ""
          : absl::StrFormat(
                " until other domains unmap the last %d of its frames",
                held.value());
  return MakeError(absl::StatusCode::kFailedPrecondition, Reason::kDomainDying,
                   absl::StrFormat("%s is dying%s; nothing can be done with it",
                                   domain.ToString(), until),
                   {{fact::kDomid, domain.id().value()}});
}

absl::Status Life::CheckNotSuspended(const Context& context) const {
  if (!suspended_) return absl::OkStatus();
  return context.Refuse(
      absl::StatusCode::kFailedPrecondition, Reason::kDomainSuspended, "",
      handover_ == Handover::kNone
          ? "its guest is suspended while it is saved or moved; wait until "
            "that is done"
          : HandoverText(handover_));
}

absl::Status Life::CheckOwnKernel(const Context& context) const {
  if (!foreign_kernel_) return absl::OkStatus();
  return context.Refuse(
      absl::StatusCode::kFailedPrecondition, Reason::kGuestKernelUnknown, "",
      "it was restored from an image of a guest whose kernel is not simulated, "
      "so it cannot run; its memory and p2m words can be read");
}

absl::Status Life::CheckBooted(const Context& context) const {
  SIMVISOR_RETURN_IF_ERROR(CheckOwnKernel(context));
  if (!built()) return absl::OkStatus();
  return context.Refuse(absl::StatusCode::kFailedPrecondition,
                        Reason::kDomainNotBooted, "",
                        "its guest has not booted; unpause it");
}

absl::Status Life::CheckRuns(const Context& context,
                             absl::string_view cannot) const {
  if (runs()) return absl::OkStatus();
  return context.Refuse(
      absl::StatusCode::kFailedPrecondition, Reason::kDomainNotRunning, "",
      absl::StrCat("its guest does not run, so ", cannot, "; unpause it"));
}

uint64_t Life::suspension() const {
  assert(suspended_);
  return suspensions_;
}

bool Life::Pause() {
  if (!runs()) return false;
  state_ = DomainState::kPaused;
  return true;
}

void Life::Run() {
  assert(!suspended_ && !dying());
  state_ = DomainState::kRunning;
}

void Life::ArrivePaused() {
  assert(built());
  state_ = DomainState::kPaused;
}

void Life::ArriveSuspended() {
  assert(state_ == DomainState::kPaused && !suspended_);
  suspended_ = true;
  ++suspensions_;
  handover_ = Handover::kIncoming;
}

uint64_t Life::Suspend() {
  assert(runs() && !suspended_);
  suspended_ = true;
  state_ = DomainState::kPaused;
  return ++suspensions_;
}

bool Life::Resume(uint64_t suspension) {
  if (!suspended_ || suspension != suspensions_) return false;
  suspended_ = false;
  EndHandover();
  return true;
}

absl::Status Life::BeginHandover(const Context& context, PageCount held) {
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kAlive, held));
  if (doomed_) return DyingError(context.domain());
  if (!suspended_) {
    return context.Refuse(absl::StatusCode::kFailedPrecondition,
                          Reason::kDomainNotRunning, "",
                          "its guest is not suspended");
  }
  handover_ = Handover::kOutgoing;
  return absl::OkStatus();
}

absl::Status Life::BeginDestroy(const Context& context) {
  if (handover_ == Handover::kNone) {
    doomed_ = true;
    return absl::OkStatus();
  }
  return context.Refuse(absl::StatusCode::kFailedPrecondition,
                        Reason::kDomainMigrating, "", HandoverText(handover_));
}

void Life::BeginDying() {
  end_.dying_.store(true, std::memory_order_release);
  state_ = DomainState::kDying;
  suspended_ = false;  // nothing saves or moves it any more
}

void Life::MarkRelinquished() {
  assert(dying());
  end_.relinquished_.store(true, std::memory_order_release);
}

}  // namespace simvisor
