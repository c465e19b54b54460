#include "domain/vm/change_waits.h"

#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

std::vector<PfnExtent> ExtentsOf(const PfnSet& pfns) {
  std::vector<PfnExtent> extents;
  extents.reserve(pfns.extents().size());
  for (const auto& [first, end] : pfns.extents()) {
    extents.push_back(ExtentBetween(first, end));
  }
  return extents;
}

PfnSet SetOf(PfnExtent pfns) {
  PfnSet set;
  set.Add(pfns);
  return set;
}

// `state`, unless the change is quiet.
MmuState* StateToWatch(MmuState* state) {
  if (state == nullptr) return nullptr;
  const bool quiet = !state->mmus->any() && state->claims.empty();
  return quiet ? nullptr : state;
}

}  // namespace

ChangeWaits::ChangeWaits(Domain& domain, const Context& context,
                         const Operation& operation, Needs needs)
    : domain_(domain),
      context_(context),
      operation_(operation),
      waiter_(operation.waiter == nullptr ? domain.machine_mmus_.waiter
                                          : *operation.waiter),
      needs_(needs),
      state_(StateToWatch(domain.mmu_state())) {}

ChangeWaits::~ChangeWaits() {
  EndTold();
  // Not before: that gives the lock up.
  if (active() && resumed_.has_value()) {
    told_ = resumed_;
    CallBackClosed();
  }
  DropClaim();
  if (clean_.has_value()) state_->cleans.Drop(*clean_);
}

template <typename F>
auto ChangeWaits::Unlocked(F f) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  domain_.mu_.Unlock();
  auto result = f();
  domain_.mu_.Lock();
  return result;
}

bool ChangeWaits::TryClaim(PfnClaims::What what) {
  if (!active()) return true;
  gate_.Close();
  if (ticket_.has_value()) {
    state_->claims.Replace(*ticket_, std::move(what));
  } else {
    ticket_ = state_->claims.Add(std::move(what), &gate_);
  }
  return (*ticket_)->admitted();
}

absl::Status ChangeWaits::AwaitTurn() {
  if (!active()) return absl::OkStatus();
  const absl::Status waited = AwaitTurn(**ticket_);
  if (!waited.ok()) DropClaim();
  return waited;
}

absl::Status ChangeWaits::AwaitTurn(const PfnClaims::Ticket& ticket) {
  if (ticket.admitted()) return absl::OkStatus();
  SIMVISOR_RETURN_IF_ERROR(Wait());
  SIMVISOR_RETURN_IF_ERROR(StillAllowed());
  if (ticket.admitted()) return absl::OkStatus();
  return Busy("another change waits there for secondary MMUs");
}

absl::Status ChangeWaits::Claim(PfnClaims::What what) {
  return TryClaim(std::move(what)) ? absl::OkStatus() : AwaitTurn();
}

absl::Status ChangeWaits::ClaimAll(bool shared) {
  if (!active()) return absl::OkStatus();
  return Claim({.pfns = SetOf(kEveryPfn), .shared = shared, .seat = !shared});
}

void ChangeWaits::DropClaim() {
  if (ticket_.has_value()) state_->claims.Drop(*ticket_);
  ticket_.reset();
}

PfnSet ChangeWaits::HeldByOthers() const {
  if (!active()) return PfnSet();
  return state_->claims.HeldBesides(ticket_.has_value() ? &**ticket_ : nullptr);
}

absl::Status ChangeWaits::Tell(const PfnSet& pfns, InvalidateReason reason) {
  if (!active() || pfns.empty()) return absl::OkStatus();
  assert(!told_.has_value());
  gate_.Close();
  told_ = state_->mmus->BeginRange(ExtentsOf(pfns), reason,
                                   /*blockable=*/operation_.may_wait, &gate_,
                                   waiter_.Now());
  return AwaitAnswers();
}

absl::Status ChangeWaits::TellAll(InvalidateReason reason) {
  if (!active()) return absl::OkStatus();
  return Tell(SetOf(kEveryPfn), reason);
}

absl::Status ChangeWaits::TellPage(Pfn pfn) {
  if (!active()) return absl::OkStatus();
  assert(!told_.has_value());
  gate_.Close();
  told_ = state_->mmus->BeginPage(pfn, InvalidateReason::kUnmap, &gate_,
                                  waiter_.Now());
  return AwaitAnswers();
}

absl::Status ChangeWaits::AwaitAnswers() {
  // With no answer pending, the lock need not be given up.
  // It was given up before if an earlier range of this change was closed.
  if (gate_.is_open()) {
    absl::Status allowed = StillAllowed();
    if (!allowed.ok()) AbortTold();
    return allowed;
  }
  const RangeId range = *told_;
  ++state_->waiting;
  absl::Status status = Unlocked([&]() -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(
        waiter_.At(ChangePoint::kBegin, context_.domain()));
    state_->mmus->CallBack(range);
    SIMVISOR_RETURN_IF_ERROR(waiter_.Wait(gate_, operation_.stop, Until()));
    return waiter_.At(ChangePoint::kAnswered, context_.domain());
  });
  --state_->waiting;
  if (status.ok()) status = StillAllowed();
  if (status.ok()) status = CheckAnswers();
  if (!status.ok()) AbortTold();
  return status;
}

absl::Status ChangeWaits::CheckAnswers() const {
  switch (state_->mmus->AnswersTo(*told_)) {
    case SecondaryMmus::Answers::kGiven:
      return absl::OkStatus();
    case SecondaryMmus::Answers::kRefused:
      return Busy("a secondary MMU cannot let go of its pages at once");
    case SecondaryMmus::Answers::kPending:
      return Busy(absl::StrCat(
          "no answer within ", absl::FormatDuration(operation_.grace), " from ",
          absl::StrJoin(state_->mmus->PendingOf(*told_), ", ")));
    case SecondaryMmus::Answers::kClosed:
      break;
  }
  return context_.Refuse(absl::StatusCode::kCancelled, Reason::kCancelled, "",
                         "the daemon is stopping");
}

absl::Status ChangeWaits::Busy(const std::string& why) const {
  return context_.Refuse(
      absl::StatusCode::kAborted, Reason::kSecondaryMmuBusy, "",
      absl::StrCat(why, "; try again, or let the call wait for them"));
}

void ChangeWaits::EndTold() {
  if (!told_.has_value()) return;
  // Frames are free, and subscribers do not know yet.
  Unlocked([&] {
    return waiter_.At(ChangePoint::kChanged, context_.domain());
  }).IgnoreError();
  state_->mmus->EndRange(*told_);
  CallBackClosed();
}

void ChangeWaits::AbortTold() {
  if (!told_.has_value()) return;
  state_->mmus->AbortRange(*told_);
  CallBackClosed();
}

void ChangeWaits::CallBackClosed() {
  const RangeId range = *std::exchange(told_, std::nullopt);
  Unlocked([&] {
    state_->mmus->CallBack(range);
    return true;
  });
}

void ChangeWaits::StepAside(absl::FunctionRef<void()> f) {
  Unlocked([f] {
    f();
    return true;
  });
}

absl::Status ChangeWaits::ReachRegistering() {
  SIMVISOR_RETURN_IF_ERROR(Unlocked([&] {
    return waiter_.At(ChangePoint::kRegistering, context_.domain());
  }));
  return StillAllowed();
}

void ChangeWaits::KeepSuspended() {
  if (active()) state_->suspension = std::exchange(told_, std::nullopt);
}

void ChangeWaits::EndSuspended() {
  MmuState* const state = domain_.mmu_state();
  if (state == nullptr || !state->suspension.has_value()) return;
  resumed_ = std::exchange(state->suspension, std::nullopt);
  state->mmus->EndRange(*resumed_);
}

void ChangeWaits::SetLogging(bool on) {
  MmuState* const state = domain_.mmu_state();
  if (state == nullptr) return;
  state->mmus->SetLogging(on);
  if (!on) state->mmus->TakeGranted();
}

absl::Status ChangeWaits::BeginClean() {
  if (!active()) return absl::OkStatus();
  gate_.Close();
  clean_ = state_->cleans.Add({.pfns = SetOf(kEveryPfn)}, &gate_);
  return AwaitTurn(**clean_);
}

absl::StatusOr<PfnSet> ChangeWaits::Protect(PfnSet dirty) {
  MmuState* const state = domain_.mmu_state();
  if (state == nullptr) return dirty;
  const PfnSet granted = state->mmus->TakeGranted();
  for (const auto& [first, end] : granted.extents()) {
    dirty.Add(ExtentBetween(first, end));
  }
  if (!active()) return dirty;
  PfnSet writable;
  for (const PfnExtent& pfns : state->mmus->WritableIn(&dirty)) {
    writable.Add(pfns);
  }
  if (writable.empty()) return dirty;
  state->being_cleaned = std::move(dirty);
  absl::Status told = ClaimAll(/*shared=*/true);
  if (told.ok()) told = Tell(writable, InvalidateReason::kProtect);
  dirty = std::exchange(state->being_cleaned, PfnSet());
  if (told.ok()) {
    EndTold();
    return dirty;
  }
  PutBack(dirty);
  return told;
}

void ChangeWaits::PutBack(const PfnSet& dirty) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (const auto& [first, end] : dirty.extents()) {
    domain_.parts_.memory.MarkDirty(ExtentBetween(first, end));
  }
}

void ChangeWaits::Release(ReleaseReason reason, std::string target) {
  MmuState* const state = domain_.mmu_state();
  if (state == nullptr) return;
  state->claims.WakeAll();
  state->cleans.WakeAll();
  state->suspension.reset();
  gate_.Close();
  state->mmus->Release(reason, std::move(target), &gate_, waiter_.Now());
  if (gate_.is_open()) return;
  ++state->waiting;
  Unlocked([&]() -> absl::Status {
    waiter_.At(ChangePoint::kRelease, context_.domain()).IgnoreError();
    state->mmus->CallBackRelease();
    return waiter_.Wait(gate_, NeverStop, absl::InfiniteFuture());
  }).IgnoreError();
  --state->waiting;
}

absl::Time ChangeWaits::Until() const {
  return operation_.may_wait ? absl::InfiniteFuture()
                             : waiter_.Now() + operation_.grace;
}

absl::Status ChangeWaits::Wait() {
  ++state_->waiting;
  absl::Status status =
      Unlocked([&] { return waiter_.Wait(gate_, operation_.stop, Until()); });
  --state_->waiting;
  return status;
}

absl::Status ChangeWaits::StillAllowed() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (!active()) return absl::OkStatus();
  return domain_.Check(domain_.parts_.life, context_, needs_);
}

}  // namespace simvisor
