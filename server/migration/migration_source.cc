#include "server/migration/migration_source.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "server/convert/domain.h"
#include "server/images/xl_config.h"
#include "server/machine/memory_reserve.h"
#include "server/migration/peer.h"

namespace simvisor::server {
namespace {

// A message is sent when so much is there, or a pass ends.
constexpr size_t kChunkBytes = size_t{1} << 20;
// What was made with the last piece of it goes along, up to this.
constexpr size_t kMaxChunkBytes = size_t{2} << 20;
constexpr std::chrono::milliseconds kReportEvery{100};
// How long the target may take to end a stream that is over.
constexpr std::chrono::seconds kLastWords{5};

std::string SourceName() {
  char name[256] = "";
  gethostname(name, sizeof(name) - 1);
  return absl::StrFormat("%s (pid %d)", name, getpid());
}

}  // namespace

MigrationSource::MigrationSource(Plan plan, OutgoingMigrations* migrations,
                                 FaultInjector* faults,
                                 Clock::Time::duration stall_timeout,
                                 Report report)
    : plan_(std::move(plan)),
      name_(plan_.domain->name()),
      operation_(
          absl::StrCat("domain ", plan_.domain->id().value(), ": migrate")),
      migrations_(migrations),
      faults_(faults),
      stall_timeout_(stall_timeout),
      report_(std::move(report)) {
  progress_.set_migration_id(plan_.id);
}

absl::Status MigrationSource::Prepare() {
  stub_ = ConnectPeer(plan_.target);
  SIMVISOR_ASSIGN_OR_RETURN(std::string config, MakeXlConfig(*plan_.domain));
  SIMVISOR_ASSIGN_OR_RETURN(
      precopy_, Precopy::Begin(plan_.domain, plan_.policy, std::move(config)));
  return absl::OkStatus();
}

absl::Status MigrationSource::Run() {
  SIMVISOR_RETURN_IF_ERROR(
      WithinMemory("MigrateDomain", [this] { return Prepare(); }));
  SIMVISOR_RETURN_IF_ERROR(
      migrations_->Begin(plan_.id, plan_.domain, plan_.target));
  const absl::Status status =
      WithinMemory("MigrateDomain", [this] { return HandOver(); });
  // The log is off before the guest runs on.
  precopy_ = nullptr;
  if (!status.ok()) return Settle(status);
  ReportNow();
  return absl::OkStatus();
}

absl::Status MigrationSource::HandOver() {
  SIMVISOR_RETURN_IF_ERROR(CheckCancelled());
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateBegin));
  stream_ = std::make_unique<PeerStream>(stub_.get(), &context_, clock_,
                                         stall_timeout_);
  SIMVISOR_RETURN_IF_ERROR(Offer());
  SIMVISOR_RETURN_IF_ERROR(CopyAll());
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateSent));
  SIMVISOR_RETURN_IF_ERROR(Read());
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigratePrepared));
  return Commit();
}

absl::Status MigrationSource::Offer() {
  Enter(v1::MIGRATION_PHASE_ADMISSION);
  v1::ReceiveDomainRequest request;
  v1::ReceiveDomainRequest::Offer& offer = *request.mutable_offer();
  offer.set_migration_id(plan_.id);
  offer.set_pages(precopy_->pages().value());
  offer.set_source(SourceName());
  offer.set_start_paused(plan_.start_paused);
  offer.set_name(name_);
  SIMVISOR_RETURN_IF_ERROR(Write(request));
  while (!precopy_->head_done()) {
    SIMVISOR_RETURN_IF_ERROR(
        SendPiece(v1::ReceiveDomainResponse::kAdmitted, &Precopy::head_done));
  }
  SIMVISOR_RETURN_IF_ERROR(Read());
  admitted_ = true;
  return Reach(FaultPoint::kMigrateAdmitted);
}

absl::Status MigrationSource::CopyAll() {
  head_bytes_ = bytes_sent_;
  copying_since_ = clock_->Now();
  pass_since_ = copying_since_;
  Enter(v1::MIGRATION_PHASE_COPYING);
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigratePass));
  while (!precopy_->done()) {
    SIMVISOR_RETURN_IF_ERROR(CheckCancelled());
    if (precopy_->pass_done()) SIMVISOR_RETURN_IF_ERROR(NextPass());
    SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigratePiece));
    SIMVISOR_RETURN_IF_ERROR(
        SendPiece(v1::ReceiveDomainResponse::kPrepared, &Precopy::done));
    if (clock_->Now() - reported_at_ >= kReportEvery) ReportNow();
  }
  return Flush();
}

absl::Status MigrationSource::NextPass() {
  pass_since_ = clock_->Now();
  suspended_since_ = pass_since_;
  const absl::Status turned =
      precopy_->Turn(BytesPerSecond(), [this] { return CheckCancelled(); });
  if (precopy_->suspended()) {
    migrations_->Suspended(plan_.id, precopy_->suspension());
  }
  SIMVISOR_RETURN_IF_ERROR(turned);
  if (!precopy_->suspended()) return Reach(FaultPoint::kMigratePass);
  Enter(v1::MIGRATION_PHASE_SUSPENDED);
  return Reach(FaultPoint::kMigrateSuspended);
}

absl::Status MigrationSource::SendPiece(PeerStream::Answer answer,
                                        bool (Precopy::*is_last)() const) {
  piece_.clear();
  SIMVISOR_RETURN_IF_ERROR(MakePiece());
  // Of a guest with little in it there are many, and small ones.
  const size_t enough = std::min(kChunkBytes, MaxChunkBytes());
  const Clock::Time until = clock_->Now() + kReportEvery;
  while (admitted_ && piece_.size() < enough && clock_->Now() < until &&
         !precopy_->pass_done() && !precopy_->done()) {
    SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigratePiece));
    SIMVISOR_RETURN_IF_ERROR(MakePiece());
  }
  const bool last = (precopy_.get()->*is_last)();
  if (last && piece_.empty()) stream_->Expect(answer);
  for (size_t at = 0; at < piece_.size();) {
    const size_t size = std::min(MaxChunkBytes(), piece_.size() - at);
    request_.mutable_data()->assign(piece_, at, size);
    at += size;
    bytes_sent_ += size;
    if (last && at == piece_.size()) stream_->Expect(answer);
    SIMVISOR_RETURN_IF_ERROR(Write(request_));
    if (admitted_) SIMVISOR_RETURN_IF_ERROR(Pace());
  }
  return absl::OkStatus();
}

absl::Status MigrationSource::MakePiece() {
  return precopy_->Next(piece_, [this] { return CheckCancelled(); });
}

size_t MigrationSource::MaxChunkBytes() const {
  // A target whose source is slow on purpose must not take it for a silent one.
  const uint64_t pace = plan_.policy.max_bytes_per_second;
  if (pace == 0 || !admitted_ || precopy_->suspended()) {
    return kMaxChunkBytes;
  }
  return std::min<uint64_t>(kChunkBytes, pace);
}

absl::Status MigrationSource::Pace() {
  if (plan_.policy.max_bytes_per_second == 0 || precopy_->suspended()) {
    return absl::OkStatus();
  }
  const double seconds = static_cast<double>(bytes_sent_ - head_bytes_) /
                         static_cast<double>(plan_.policy.max_bytes_per_second);
  const Clock::Time until =
      copying_since_ + std::chrono::duration_cast<Clock::Time::duration>(
                           std::chrono::duration<double>(seconds));
  while (clock_->Now() < until) {
    {
      absl::MutexLock lock(&mu_);
      if (!cancelled_.ok()) return cancelled_;
      // Whoever waits long is to report meanwhile.
      clock_->Await(&mu_, absl::Condition(this, &MigrationSource::IsCancelled),
                    std::min(until, clock_->Now() + kReportEvery));
    }
    ReportNow();
  }
  return absl::OkStatus();
}

absl::Status MigrationSource::Commit() {
  SIMVISOR_RETURN_IF_ERROR(CheckCancelled());
  // One that has said more than PREPARED by now is not told to run it.
  if (!stream_->fault().ok()) return Broken();
  SIMVISOR_RETURN_IF_ERROR(
      migrations_->Note(plan_.id, SourceEvent::kPrepared).status());
  Enter(v1::MIGRATION_PHASE_COMMITTING);
  v1::ReceiveDomainRequest request;
  request.mutable_commit();
  stream_->Expect(v1::ReceiveDomainResponse::kCommitted);
  SIMVISOR_RETURN_IF_ERROR(Write(request));
  SIMVISOR_RETURN_IF_ERROR(Flush());
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateCommit));
  SIMVISOR_RETURN_IF_ERROR(Read());
  SIMVISOR_RETURN_IF_ERROR(CheckCommitted());
  *progress_.mutable_domain() = response_.committed().domain();
  // Without what nothing here has checked, and a guest that moves has not.
  progress_.mutable_domain()->clear_pci_devices();
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateCommitted));
  SIMVISOR_RETURN_IF_ERROR(
      migrations_->Note(plan_.id, SourceEvent::kCommitted).status());
  progress_.set_downtime_ms(MillisecondsSince(suspended_since_));
  progress_.set_phase(v1::MIGRATION_PHASE_MOVED);
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateDone));
  // The domain has moved, whether the target hears of it or not.
  request.Clear();
  request.mutable_done();
  stream_->Write(request);
  EndStream(kLastWords);
  return absl::OkStatus();
}

absl::Status MigrationSource::CheckCommitted() const {
  const v1::Domain& there = response_.committed().domain();
  const std::string uuid = UuidToString(plan_.domain->Info().uuid);
  if (there.uuid() == uuid && there.name() == name_) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kTargetMisbehaved,
      absl::StrCat(operation_, " to ", plan_.target.ToString(),
                   ": it says that it runs domain ", Quoted(there.name()),
                   " with uuid ", Quoted(there.uuid()), ", and was sent ",
                   Quoted(name_), " with ", uuid));
}

absl::Status MigrationSource::Settle(const absl::Status& why) {
  context_.TryCancel();
  EndStream({});
  SIMVISOR_ASSIGN_OR_RETURN(
      v1::Migration now,
      migrations_->Note(plan_.id, SourceEvent::kFailed, why.message()));
  now = migrations_->AskNow(now);
  if (now.state() == v1::MIGRATION_STATE_MOVED) {
    // COMMITTED was lost, but not what it said; or something failed after it.
    progress_.set_phase(v1::MIGRATION_PHASE_MOVED);
    ReportNow();
    return absl::OkStatus();
  }
  if (now.state() != v1::MIGRATION_STATE_UNKNOWN) return why;
  return MakeError(
      absl::StatusCode::kUnavailable, Reason::kMigrationUnresolved,
      absl::StrCat("domain ", plan_.domain->id().value(), ": migration ",
                   plan_.id, ": ", plan_.target.ToString(),
                   " was told to run the domain and does not answer; it stays "
                   "suspended here until that daemon does, or until "
                   "migrate-resolve decides"));
}

void MigrationSource::Cancel(const absl::Status& why) {
  absl::MutexLock lock(&mu_);
  if (!cancelled_.ok()) return;
  cancelled_ = why;
  context_.TryCancel();
}

absl::Status MigrationSource::CheckCancelled() const {
  absl::MutexLock lock(&mu_);
  return cancelled_;
}

absl::Status MigrationSource::Write(v1::ReceiveDomainRequest& request) {
  return stream_->Write(request) ? absl::OkStatus() : Broken();
}

absl::Status MigrationSource::Flush() {
  return stream_->Flush() ? absl::OkStatus() : Broken();
}

absl::Status MigrationSource::Read() {
  return stream_->Read(response_) ? absl::OkStatus() : Broken();
}

grpc::Status MigrationSource::EndStream(Clock::Time::duration patience) {
  if (stream_ == nullptr) return grpc::Status::OK;
  const grpc::Status status = stream_->End(std::min(patience, stall_timeout_));
  stream_ = nullptr;
  return status;
}

absl::Status MigrationSource::Broken() {
  const absl::Status fault = stream_->fault();
  const grpc::Status status = EndStream(kLastWords);
  SIMVISOR_RETURN_IF_ERROR(CheckCancelled());
  const bool told = !status.error_details().empty();
  if (!fault.ok() && ReasonOf(fault) != ReasonName(Reason::kCallStalled)) {
    return MakeError(fault.code(), Reason::kTargetMisbehaved,
                     absl::StrCat(operation_, " to ", plan_.target.ToString(),
                                  ": ", fault.message()));
  }
  if (!admitted_ && !told) {
    return Unreachable(
        operation_, plan_.target,
        fault.ok() ? status.error_message() : std::string(fault.message()));
  }
  if (!fault.ok()) {
    return MakeError(fault.code(), Reason::kCallStalled,
                     absl::StrCat(operation_, " to ", plan_.target.ToString(),
                                  ": ", fault.message()));
  }
  if (status.ok()) {
    return MakeError(absl::StatusCode::kUnavailable, Reason::kTargetUnreachable,
                     absl::StrCat(operation_, ": ", plan_.target.ToString(),
                                  " ended the stream early"));
  }
  if (status.error_code() == grpc::StatusCode::CANCELLED && !told) {
    return MakeError(absl::StatusCode::kFailedPrecondition,
                     Reason::kMigrationSettled,
                     absl::StrCat(operation_, ": ", plan_.target.ToString(),
                                  " has given it up: it stops"));
  }
  return FromPeer(status, operation_, plan_.target);
}

void MigrationSource::Enter(v1::MigrationPhase phase) {
  progress_.set_phase(phase);
  ReportNow();
}

uint64_t MigrationSource::MillisecondsSince(Clock::Time start) const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(clock_->Now() -
                                                               start)
      .count();
}

uint64_t MigrationSource::BytesPerSecond() const {
  const std::chrono::duration<double> seconds = clock_->Now() - copying_since_;
  // A pass takes some time, however small it is.
  return static_cast<uint64_t>(static_cast<double>(bytes_sent_ - head_bytes_) /
                               std::max(seconds.count(), 1e-6));
}

void MigrationSource::ReportNow() {
  reported_at_ = clock_->Now();
  progress_.set_bytes_sent(bytes_sent_);
  if (precopy_ != nullptr &&
      progress_.phase() > v1::MIGRATION_PHASE_ADMISSION) {
    const uint64_t done = precopy_->pass_done_pfns().value();
    const uint64_t total = precopy_->pass_total_pfns().value();
    progress_.set_pass(precopy_->pass());
    progress_.set_pass_pfns_done(done);
    progress_.set_pass_pfns_total(total);
    progress_.set_data_pages(precopy_->pages_sent().value());
    progress_.set_dirty_pages(precopy_->dirty().value());
    progress_.set_bytes_per_second(BytesPerSecond());
    const uint64_t in_pass = MillisecondsSince(pass_since_);
    progress_.set_pass_left_ms(done == 0 ? 0 : in_pass * (total - done) / done);
    if (precopy_->suspended()) {
      progress_.set_downtime_ms(MillisecondsSince(suspended_since_));
    }
  }
  report_(progress_);
}

}  // namespace simvisor::server
