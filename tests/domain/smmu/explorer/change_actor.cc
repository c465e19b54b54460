#include "tests/domain/smmu/explorer/change_actor.h"

#include <utility>

#include "domain/smmu/seeded_mistakes.h"

namespace simvisor {

void ChangeActor::AddOptions(std::vector<int>& options) const {
  const bool locked = world_.holder != nullptr && world_.holder != this;
  if (to_call_) options.push_back(kCallBack);
  switch (phase_) {
    case Phase::kStart:
      if (manners_.after != nullptr && !manners_.after->ended()) return;
      if (!locked) options.push_back(kGoOn);
      return;
    case Phase::kQueued:
      if (admitted_.is_open() && !locked) options.push_back(kGoOn);
      break;
    case Phase::kWaiting:
      if (answered_.is_open() && !locked) options.push_back(kGoOn);
      if (!manners_.blockable && !locked) options.push_back(kGraceOver);
      break;
    case Phase::kChanged:
      options.push_back(kGoOn);
      return;
    case Phase::kDone:
    case Phase::kFailed:
      return;
  }
  if (manners_.may_cancel && !locked) options.push_back(kCancel);
}

void ChangeActor::Take(int option) {
  if (option == kCallBack) {
    to_call_ = false;
    return world_.mmus.CallBack(range_);
  }
  if (option != kGoOn) return Abort();
  switch (phase_) {
    case Phase::kStart:
      return Start();
    case Phase::kQueued:
      return Admitted();
    case Phase::kWaiting:
      return Answered();
    case Phase::kChanged:
      return EndIt();
    case Phase::kDone:
    case Phase::kFailed:
      return;
  }
}

void ChangeActor::Start() {
  if (world_.dying) return Leave(Phase::kFailed);
  ticket_ = world_.claims.Add(Plan(), &admitted_);
  world_.queue.emplace_back(this, *ticket_);
  phase_ = Phase::kQueued;
  if ((*ticket_)->admitted()) Admitted();
}

void ChangeActor::Admitted() {
  if (world_.dying || !MayBegin()) return Leave(Phase::kFailed);
  // The gate may have been opened by WakeAll() only.
  if (!(*ticket_)->admitted()) return admitted_.Close();
  Begin();
}

void ChangeActor::Begin() {
  std::vector<PfnExtent> pfns = Prepare();
  if (pfns.empty() || !world_.mmus.any()) {
    Commit();
    // A range that stays open counts even if it is told to no client.
    if (keeps_range()) {
      world_.suspended =
          world_.mmus.BeginRange(pfns, reason(), true, nullptr, world_.now);
    }
    Finish();
    return Leave(Phase::kDone);
  }
  range_ = is_page() ? world_.mmus.BeginPage(pfns.front().first, reason(),
                                             &answered_, world_.now)
                     : world_.mmus.BeginRange(std::move(pfns), reason(),
                                              manners_.blockable, &answered_,
                                              world_.now);
  open_ = true;
  to_call_ = world_.has_objects;
  told_at_ = world_.now;
  absl::StrAppend(&world_.ranges, "b", static_cast<uint64_t>(range_));
  phase_ = Phase::kWaiting;
  if (world_.mmus.AnswersTo(range_) == SecondaryMmus::Answers::kGiven) {
    Answered();
  }
}

void ChangeActor::Answered() {
  switch (world_.mmus.AnswersTo(range_)) {
    case SecondaryMmus::Answers::kPending:
      world_.Violate(name_, " goes on, and answers are pending");
      return;
    case SecondaryMmus::Answers::kClosed:
      open_ = false;
      return Abort();
    case SecondaryMmus::Answers::kRefused:
      return Abort();
    case SecondaryMmus::Answers::kGiven:
      break;
  }
  Commit();
  // Clients may fault and answer between this and the end of the range, and
  // other changes may not begin.
  world_.holder = this;
  phase_ = Phase::kChanged;
}

void ChangeActor::EndIt() {
  if (open_ && !keeps_range()) {
    open_ = false;
    absl::StrAppend(&world_.ranges, "e", static_cast<uint64_t>(range_));
    world_.mmus.EndRange(range_);
    to_call_ = world_.has_objects;
    // The log has one more step.
    if (IsSeeded(SeededMistake::kProtectThenSwap)) return;
  }
  Finish();
  Leave(Phase::kDone);
}

void ChangeActor::Abort() {
  if (phase_ == Phase::kWaiting) {
    if (open_) {
      absl::StrAppend(&world_.ranges, "a", static_cast<uint64_t>(range_));
      world_.mmus.AbortRange(range_);
      to_call_ = world_.has_objects;
    }
    open_ = false;
    Undo();
  }
  Leave(Phase::kFailed);
}

void ChangeActor::Leave(Phase phase) {
  if (world_.holder == this) world_.holder = nullptr;
  phase_ = phase;
  if (!ticket_.has_value()) return;
  std::erase_if(world_.queue,
                [this](const auto& entry) { return entry.first == this; });
  world_.claims.Drop(*ticket_);
  ticket_.reset();
}

void ChangeActor::Check() const {
  if (phase_ == Phase::kWaiting && !answered_.is_open() &&
      world_.now >= told_at_ + kExplorerLease) {
    world_.Violate(name_, " has waited for a lease");
  }
}

void ChangeActor::AppendState(std::string& text) const {
  absl::StrAppend(&text, static_cast<int>(phase_), admitted_.is_open(),
                  answered_.is_open(), open_, to_call_, " ",
                  static_cast<uint64_t>(range_), " ",
                  absl::ToUnixMillis(told_at_));
  if (ticket_.has_value()) {
    absl::StrAppend(&text, (*ticket_)->admitted());
  }
  if (open_) {
    absl::StrAppend(&text, static_cast<int>(world_.mmus.AnswersTo(range_)));
    for (const std::string& name : world_.mmus.PendingOf(range_)) {
      absl::StrAppend(&text, " ", name);
    }
  }
}

std::string ChangeActor::Describe(int option) const {
  static constexpr absl::string_view kPhases[] = {
      "starts",         "takes its turn", "goes on after the answers",
      "ends its range", "is done",        "has failed"};
  if (option == kCallBack) return absl::StrCat(name_, " calls objects");
  if (option == kGraceOver) return absl::StrCat(name_, "'s grace is over");
  if (option == kCancel) return absl::StrCat(name_, " is cancelled");
  return absl::StrCat(name_, " ", kPhases[static_cast<int>(phase_)]);
}

}  // namespace simvisor
