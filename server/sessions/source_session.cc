#include "server/sessions/source_session.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "base/uuid.h"
#include "domain/units/domain_identity.h"
#include "server/machine/events.h"
#include "server/machine/memory_reserve.h"

namespace simvisor::server {
namespace {

constexpr char kMigrateMethod[] = "MigrateDomain";
// A message is sent when it has this many bytes, or when a pass ends.
constexpr size_t kMessageBytes = size_t{1} << 20;
// The last piece may make a message larger, up to this size.
constexpr size_t kMaxMessageBytes = size_t{2} << 20;
constexpr std::chrono::milliseconds kReportEvery{100};
// How long the target may take to end the stream.
constexpr std::chrono::seconds kLastWords{5};

}  // namespace

SourceSession::SourceSession(Plan plan, const Tools& tools, Report report)
    : plan_(std::move(plan)),
      tools_(tools),
      report_(std::move(report)),
      name_(plan_.domain->name()),
      operation_(
          absl::StrCat(plan_.domain->identity().ToString(), ": migrate")),
      stream_(plan_.target->MakeStream()),
      meter_(tools.clock) {}

absl::Status SourceSession::Run() {
  while (!done()) Step();
  return outcome_;
}

const absl::Status& SourceSession::outcome() const {
  assert(done());
  return outcome_;
}

SourceSession::Waits SourceSession::waits() const {
  switch (step_) {
    case StepKind::kAdmitted:
    case StepKind::kPrepared:
    case StepKind::kCommitted:
      return Waits::kAnswer;
    case StepKind::kSettle:
      return Waits::kQuestion;
    default:
      return Waits::kNothing;
  }
}

void SourceSession::Step() {
  assert(!done());
  if (step_ == StepKind::kSettle) return Settle();
  const bool begun = step_ != StepKind::kPrepare;
  // Only the first steps are refused when memory is short; the later ones
  // finish what has begun.
  const absl::Status status =
      step_ <= StepKind::kOffer
          ? WithinMemory(kMigrateMethod, [this] { return Go(); })
          : UnlessExhausted([this] { return Go(); });
  if (status.ok()) return;
  if (begun) {
    Fail(status);
  } else {
    End(status);
  }
}

absl::Status SourceSession::Go() {
  switch (step_) {
    case StepKind::kPrepare:
      return Prepare();
    case StepKind::kOffer:
      return Offer();
    case StepKind::kHead:
      return SendHead();
    case StepKind::kAdmitted:
      return TakeAdmitted();
    case StepKind::kPages:
      return SendPages();
    case StepKind::kPrepared:
      return TakePrepared();
    case StepKind::kCommit:
      return Commit();
    case StepKind::kCommitted:
      return TakeCommitted();
    case StepKind::kSettle:
    case StepKind::kDone:
      break;
  }
  return absl::OkStatus();
}

absl::Status SourceSession::Prepare() {
  SIMVISOR_ASSIGN_OR_RETURN(
      precopy_, Precopy::Begin(plan_.domain, plan_.policy, plan_.config));
  SIMVISOR_RETURN_IF_ERROR(
      tools_.migrations->Begin(plan_.id, plan_.domain, plan_.target));
  LogEvent(*plan_.domain, [this] {
    return absl::StrCat("migration ", plan_.id, " to ", plan_.target->address(),
                        " begins");
  });
  step_ = StepKind::kOffer;
  return absl::OkStatus();
}

absl::Status SourceSession::Offer() {
  SIMVISOR_RETURN_IF_ERROR(CheckCancelled());
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateBegin));
  stream_->Open();
  streaming_ = true;
  Enter(MigrationPhase::kAdmission);
  SIMVISOR_RETURN_IF_ERROR(
      Write(OfferMessage{.migration_id = plan_.id,
                         .pages = precopy_->pages(),
                         .source = plan_.source,
                         .start_paused = plan_.start_paused,
                         .name = name_}));
  step_ = StepKind::kHead;
  return absl::OkStatus();
}

absl::Status SourceSession::SendHead() {
  if (AllSent()) SIMVISOR_RETURN_IF_ERROR(MakePieces());
  const bool last = precopy_->head_done();
  SIMVISOR_RETURN_IF_ERROR(SendNext(TargetAnswer::kAdmitted, last));
  if (last && AllSent()) step_ = StepKind::kAdmitted;
  return absl::OkStatus();
}

absl::Status SourceSession::TakeAdmitted() {
  SIMVISOR_RETURN_IF_ERROR(Read());
  admitted_ = true;
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateAdmitted));
  meter_.StartCopying();
  Enter(MigrationPhase::kCopying);
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigratePass));
  step_ = StepKind::kPages;
  return absl::OkStatus();
}

absl::Status SourceSession::SendPages() {
  if (AllSent() && !precopy_->done()) {
    SIMVISOR_RETURN_IF_ERROR(CheckCancelled());
    if (precopy_->pass_done()) SIMVISOR_RETURN_IF_ERROR(NextPass());
    SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigratePiece));
    SIMVISOR_RETURN_IF_ERROR(MakePieces());
  }
  const bool last = precopy_->done();
  SIMVISOR_RETURN_IF_ERROR(SendNext(TargetAnswer::kPrepared, last));
  if (tools_.clock->Now() - reported_at_ >= kReportEvery) ReportNow();
  if (!last || !AllSent()) return absl::OkStatus();
  SIMVISOR_RETURN_IF_ERROR(Flush());
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateSent));
  step_ = StepKind::kPrepared;
  return absl::OkStatus();
}

absl::Status SourceSession::NextPass() {
  meter_.StartPass();
  const absl::Status turned = precopy_->Turn(
      meter_.BytesPerSecond(), [this] { return CheckCancelled(); });
  if (precopy_->suspended()) {
    tools_.migrations->Suspended(plan_.id, precopy_->suspension());
  }
  SIMVISOR_RETURN_IF_ERROR(turned);
  if (!precopy_->suspended()) return Reach(FaultPoint::kMigratePass);
  Enter(MigrationPhase::kSuspended);
  return Reach(FaultPoint::kMigrateSuspended);
}

absl::Status SourceSession::MakePieces() {
  piece_.clear();
  sent_ = 0;
  SIMVISOR_RETURN_IF_ERROR(MakePiece());
  // A guest with little data yields many small pieces.
  const size_t enough = std::min(kMessageBytes, MaxChunkBytes());
  const Clock::Time until = tools_.clock->Now() + kReportEvery;
  while (admitted_ && piece_.size() < enough && tools_.clock->Now() < until &&
         !precopy_->pass_done() && !precopy_->done()) {
    SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigratePiece));
    SIMVISOR_RETURN_IF_ERROR(MakePiece());
  }
  return absl::OkStatus();
}

absl::Status SourceSession::MakePiece() {
  return precopy_->Next(piece_, [this] { return CheckCancelled(); });
}

absl::Status SourceSession::SendNext(TargetAnswer answer, bool last) {
  const size_t size = std::min(MaxChunkBytes(), piece_.size() - sent_);
  const absl::string_view bytes = absl::string_view(piece_).substr(sent_, size);
  sent_ += size;
  if (last && AllSent()) stream_->Expect(answer);
  if (bytes.empty()) return absl::OkStatus();
  meter_.Sent(size);
  SIMVISOR_RETURN_IF_ERROR(Write(DataMessage{bytes}));
  return admitted_ ? Pace() : absl::OkStatus();
}

size_t SourceSession::MaxChunkBytes() const {
  // The target must not take a source that is slowed down on purpose for a
  // stalled one.
  const uint64_t pace = plan_.policy.max_bytes_per_second;
  if (pace == 0 || !admitted_ || precopy_->suspended()) {
    return kMaxMessageBytes;
  }
  return std::min<uint64_t>(kMessageBytes, pace);
}

absl::Status SourceSession::Pace() {
  if (plan_.policy.max_bytes_per_second == 0 || precopy_->suspended()) {
    return absl::OkStatus();
  }
  const Clock::Time until = meter_.WhenPaced(plan_.policy.max_bytes_per_second);
  while (tools_.clock->Now() < until) {
    {
      absl::MutexLock lock(&mu_);
      if (!cancelled_.ok()) return cancelled_;
      // Report progress during a long wait.
      tools_.clock->Await(&mu_,
                          absl::Condition(this, &SourceSession::IsCancelled),
                          std::min(until, tools_.clock->Now() + kReportEvery));
    }
    ReportNow();
  }
  return absl::OkStatus();
}

absl::Status SourceSession::TakePrepared() {
  SIMVISOR_RETURN_IF_ERROR(Read());
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigratePrepared));
  step_ = StepKind::kCommit;
  return absl::OkStatus();
}

absl::Status SourceSession::Commit() {
  SIMVISOR_RETURN_IF_ERROR(CheckCancelled());
  // A target that has said more than PREPARED by now must not get COMMIT.
  if (!stream_->fault().ok()) return Broken();
  SIMVISOR_RETURN_IF_ERROR(
      tools_.migrations->Note(plan_.id, SourceEvent::kPrepared).status());
  Enter(MigrationPhase::kCommitting);
  stream_->Expect(TargetAnswer::kCommitted);
  SIMVISOR_RETURN_IF_ERROR(Write(CommitMessage()));
  SIMVISOR_RETURN_IF_ERROR(Flush());
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateCommit));
  step_ = StepKind::kCommitted;
  return absl::OkStatus();
}

absl::Status SourceSession::TakeCommitted() {
  SIMVISOR_RETURN_IF_ERROR(Read());
  SIMVISOR_RETURN_IF_ERROR(CheckCommitted());
  progress_.domain = answer_.domain;
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateCommitted));
  SIMVISOR_RETURN_IF_ERROR(
      tools_.migrations->Note(plan_.id, SourceEvent::kCommitted).status());
  progress_.downtime_ms = meter_.DowntimeMs();
  progress_.phase = MigrationPhase::kMoved;
  LogEvent([this] {
    return absl::StrCat(DomainText(name_, plan_.domain->id()), ": migration ",
                        plan_.id, ": ", progress_.bytes_sent, " bytes sent in ",
                        progress_.pass, " passes; it did not run for ",
                        progress_.downtime_ms, " ms");
  });
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateDone));
  // The domain has moved, whether or not DONE arrives.
  stream_->Write(DoneMessage());
  EndStream(kLastWords);
  precopy_ = nullptr;
  ReportNow();
  End(absl::OkStatus());
  return absl::OkStatus();
}

absl::Status SourceSession::CheckCommitted() const {
  const std::string uuid = UuidToString(plan_.domain->Info().uuid);
  if (answer_.uuid == uuid && answer_.name == name_) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kTargetMisbehaved,
      absl::StrCat(operation_, " to ", plan_.target->address(),
                   ": it says that it runs domain ", Quoted(answer_.name),
                   " with uuid ", Quoted(answer_.uuid), ", and was sent ",
                   Quoted(name_), " with ", uuid));
}

void SourceSession::Fail(const absl::Status& why) {
  failure_ = why;
  // Turn the dirty log off before the guest runs again.
  precopy_ = nullptr;
  stream_->Cancel();
  EndStream({});
  const absl::StatusOr<OutgoingRecord> now =
      tools_.migrations->Note(plan_.id, SourceEvent::kFailed, why.message());
  if (!now.ok()) return End(now.status());
  record_ = *now;
  tools_.migrations->StartAsking(plan_.id);
  step_ = StepKind::kSettle;
}

void SourceSession::Settle() {
  const std::optional<OutgoingRecord> now =
      tools_.migrations->AwaitAnswer(plan_.id);
  const SourceState state = now.value_or(record_).state;
  if (state == SourceState::kMoved) {
    // COMMITTED was lost, and the answer to the question said the same; or
    // something failed after COMMITTED.
    progress_.phase = MigrationPhase::kMoved;
    ReportNow();
    return End(absl::OkStatus());
  }
  if (state != SourceState::kUnknown) return End(failure_);
  End(MakeError(
      absl::StatusCode::kUnavailable, Reason::kMigrationUnresolved,
      absl::StrCat(plan_.domain->identity().ToString(), ": migration ",
                   plan_.id, ": ", plan_.target->address(),
                   " was told to run the domain and does not answer; it stays "
                   "suspended here until that daemon does, or until "
                   "migrate-resolve decides"),
      {{fact::kOperation, "migrate"},
       {fact::kDomain, name_},
       {fact::kDomid, plan_.domain->id().value()},
       {fact::kValue, plan_.id}}));
}

void SourceSession::End(const absl::Status& outcome) {
  outcome_ = outcome;
  step_ = StepKind::kDone;
}

void SourceSession::Cancel(const absl::Status& why) {
  absl::MutexLock lock(&mu_);
  if (!cancelled_.ok()) return;
  cancelled_ = why;
  stream_->Cancel();
}

absl::Status SourceSession::CheckCancelled() const {
  absl::MutexLock lock(&mu_);
  return cancelled_;
}

absl::Status SourceSession::Write(const SourceMessage& message) {
  return stream_->Write(message) ? absl::OkStatus() : Broken();
}

absl::Status SourceSession::Flush() {
  return stream_->Flush() ? absl::OkStatus() : Broken();
}

absl::Status SourceSession::Read() {
  return stream_->Read(answer_) ? absl::OkStatus() : Broken();
}

PeerStatus SourceSession::EndStream(Clock::Time::duration patience) {
  if (!streaming_) return PeerStatus();
  streaming_ = false;
  return stream_->End(std::min(patience, tools_.stall_timeout));
}

absl::Status SourceSession::Broken() {
  const absl::Status fault = stream_->fault();
  const PeerStatus status = EndStream(kLastWords);
  SIMVISOR_RETURN_IF_ERROR(CheckCancelled());
  const std::string address = plan_.target->address();
  const std::string to_target = absl::StrCat(operation_, " to ", address, ": ");
  if (!fault.ok() && ReasonOf(fault) != ReasonName(Reason::kCallStalled)) {
    return MakeError(fault.code(), Reason::kTargetMisbehaved,
                     absl::StrCat(to_target, fault.message()));
  }
  if (!admitted_ && !status.reason.has_value()) {
    return Unreachable(operation_, address,
                       fault.ok() ? status.text : std::string(fault.message()));
  }
  if (!fault.ok()) {
    return MakeError(fault.code(), Reason::kCallStalled,
                     absl::StrCat(to_target, fault.message()));
  }
  if (status.code == absl::StatusCode::kOk) {
    return MakeError(
        absl::StatusCode::kUnavailable, Reason::kTargetUnreachable,
        absl::StrCat(operation_, ": ", address, " ended the stream early"));
  }
  if (status.code == absl::StatusCode::kCancelled &&
      !status.reason.has_value()) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kMigrationSettled,
        absl::StrCat(operation_, ": ", address, " has given it up: it stops"));
  }
  return FromPeer(status, operation_, address);
}

void SourceSession::Enter(MigrationPhase phase) {
  progress_.phase = phase;
  ReportNow();
}

void SourceSession::ReportNow() {
  reported_at_ = tools_.clock->Now();
  meter_.Fill(precopy_.get(), progress_);
  report_(progress_);
}

}  // namespace simvisor::server
