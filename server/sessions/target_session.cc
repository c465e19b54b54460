#include "server/sessions/target_session.h"

#include <cassert>
#include <cstddef>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "server/machine/events.h"
#include "server/machine/memory_reserve.h"

namespace simvisor::server {
namespace {

constexpr char kReceiveMethod[] = "ReceiveDomain";

}  // namespace

TargetSession::TargetSession(Machine* machine, IncomingMigrations* migrations,
                             ImageRestorer::SpecSource spec,
                             IncomingMigrations::Cancel interrupt)
    : machine_(*machine),
      migrations_(*migrations),
      spec_(std::move(spec)),
      interrupt_(std::move(interrupt)) {}

TargetSession::~TargetSession() { assert(step_ == Step::kEnded); }

absl::StatusOr<TargetSession::Next> TargetSession::Take(
    const SourceMessage& message, StopCheck over) {
  if (step_ == Step::kCommitted) {
    SIMVISOR_RETURN_IF_ERROR(CheckPlace(message));
    migrations_.Acknowledge(id_);
    SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kReceiveDone));
    return Next::kEnd;
  }
  answer_ = TargetAnswer::kNone;
  // A call that has ended must not commit.
  SIMVISOR_RETURN_IF_ERROR(over());
  SIMVISOR_RETURN_IF_ERROR(
      WithinMemory(kReceiveMethod, [&] { return Handle(message, over); }));
  return answer_ == TargetAnswer::kNone ? Next::kRead : Next::kAnswer;
}

absl::StatusOr<TargetSession::Next> TargetSession::Sent() {
  answer_ = TargetAnswer::kNone;
  if (step_ == Step::kPrepared) {
    SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kReceivePrepared));
  } else if (step_ == Step::kReceiving && restorer_->done()) {
    // The whole image arrived before ADMITTED was written.
    SIMVISOR_RETURN_IF_ERROR(
        WithinMemory(kReceiveMethod, [this] { return Arrive(); }));
  }
  return answer_ == TargetAnswer::kNone ? Next::kRead : Next::kAnswer;
}

absl::Status TargetSession::Handle(const SourceMessage& message,
                                   StopCheck over) {
  SIMVISOR_RETURN_IF_ERROR(CheckPlace(message));
  switch (step_) {
    case Step::kOffer:
      return TakeOffer(std::get<OfferMessage>(message));
    case Step::kReceiving:
      return TakeData(std::get<DataMessage>(message).bytes, over);
    case Step::kPrepared:
      return TakeCommit();
    case Step::kCommitted:
    case Step::kEnded:
      break;
  }
  return absl::OkStatus();
}

absl::Status TargetSession::CheckPlace(const SourceMessage& message) const {
  absl::string_view due;
  bool fits = false;
  switch (step_) {
    case Step::kOffer:
      due = "offer";
      fits = std::holds_alternative<OfferMessage>(message);
      break;
    case Step::kReceiving:
      due = "data";
      fits = std::holds_alternative<DataMessage>(message);
      break;
    case Step::kPrepared:
      due = "commit";
      fits = std::holds_alternative<CommitMessage>(message);
      break;
    case Step::kCommitted:
    case Step::kEnded:
      due = "done";
      fits = std::holds_alternative<DoneMessage>(message);
      break;
  }
  if (fits) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument,
                   Reason::kArgumentMalformed,
                   absl::StrCat("step: field ", message.index(),
                                " was sent where ", due, " was due"));
}

absl::Status TargetSession::TakeOffer(const OfferMessage& offer) {
  name_ = offer.name;
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kReceiveBegin));
  SIMVISOR_RETURN_IF_ERROR(migrations_.Begin(offer.migration_id, offer.source,
                                             offer.start_paused, interrupt_));
  id_ = offer.migration_id;
  LogEvent([&] {
    return absl::StrCat(offer.name, ": migration ", id_, " from ", offer.source,
                        " begins");
  });
  restorer_ = std::make_unique<ImageRestorer>(
      machine_.host(), spec_, LimitsFrom::kNotes, offer.pages,
      Arrival::kSuspended, migrations_.Leaving(id_));
  step_ = Step::kReceiving;
  return absl::OkStatus();
}

absl::Status TargetSession::TakeData(absl::string_view bytes, StopCheck over) {
  SIMVISOR_RETURN_IF_ERROR(restorer_->Feed(bytes, over));
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kReceivePiece));
  if (!admitted_ && restorer_->admitted()) {
    SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kReceiveAdmitted));
    admitted_ = true;
    answer_ = TargetAnswer::kAdmitted;
    return absl::OkStatus();
  }
  return restorer_->done() ? Arrive() : absl::OkStatus();
}

absl::Status TargetSession::Arrive() {
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kReceiveArrived));
  // The domain is complete and its source may be dead, so a call that has ended
  // does not stop this; an operator can decide.
  SIMVISOR_ASSIGN_OR_RETURN(domain_, restorer_->Finish(NeverStop));
  restorer_ = nullptr;
  SIMVISOR_RETURN_IF_ERROR(migrations_.Arrived(id_, domain_));
  step_ = Step::kPrepared;
  answer_ = TargetAnswer::kPrepared;
  return absl::OkStatus();
}

absl::Status TargetSession::TakeCommit() {
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kReceiveCommit));
  SIMVISOR_ASSIGN_OR_RETURN(const IncomingRecord now,
                            migrations_.Decide(id_, TargetEvent::kCommit));
  if (now.state != TargetState::kCommitted) {
    return MakeError(absl::StatusCode::kFailedPrecondition,
                     Reason::kMigrationSettled,
                     absl::StrCat("receive: migration ", id_,
                                  ": commit came after it was dropped"));
  }
  step_ = Step::kCommitted;
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kReceiveCommitted));
  answer_ = TargetAnswer::kCommitted;
  return absl::OkStatus();
}

void TargetSession::End(const absl::Status& status) {
  assert(step_ != Step::kEnded);
  const bool committed = step_ == Step::kCommitted;
  step_ = Step::kEnded;
  const bool incomplete = restorer_ != nullptr;
  restorer_ = nullptr;
  if (incomplete) machine_.NoteGone();
  domain_ = nullptr;
  if (id_.empty()) return;
  if (!status.ok()) {
    if (!committed) {
      LogEvent([&] {
        return absl::StrCat(name_, ": migration ", id_,
                            ": ended without the domain: ", status.message());
      });
    }
    migrations_.Decide(id_, TargetEvent::kBroken).IgnoreError();
  }
  migrations_.CallEnded(id_);
}

}  // namespace simvisor::server
