#include "server/migration_source.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "domain/units/error.h"
#include "domain/units/status_macros.h"
#include "server/convert_domain.h"
#include "server/peer.h"
#include "server/xl_config.h"

namespace simvisor::server {
namespace {

// Most of a piece that one message carries.
constexpr size_t kChunkBytes = size_t{1} << 20;
constexpr std::chrono::milliseconds kReportEvery{100};

std::string SourceName() {
  char name[256] = "";
  gethostname(name, sizeof(name) - 1);
  return absl::StrFormat("%s (pid %d)", name, getpid());
}

}  // namespace

MigrationSource::MigrationSource(Plan plan, OutgoingMigrations* migrations,
                                 FaultInjector* faults, Report report)
    : plan_(std::move(plan)),
      name_(plan_.domain->name()),
      migrations_(migrations),
      faults_(faults),
      report_(std::move(report)) {
  progress_.set_migration_id(plan_.id);
}

absl::Status MigrationSource::Run() {
  SIMVISOR_ASSIGN_OR_RETURN(stub_, ConnectPeer(plan_.target));
  SIMVISOR_ASSIGN_OR_RETURN(std::string config, MakeXlConfig(*plan_.domain));
  SIMVISOR_ASSIGN_OR_RETURN(
      precopy_, Precopy::Begin(plan_.domain, plan_.policy, std::move(config)));
  SIMVISOR_RETURN_IF_ERROR(
      migrations_->Begin(plan_.id, plan_.domain, plan_.target));
  const absl::Status status = HandOver();
  // The log is off before the guest runs on.
  precopy_ = nullptr;
  if (!status.ok()) return Settle(status);
  ReportNow();
  return absl::OkStatus();
}

absl::Status MigrationSource::HandOver() {
  SIMVISOR_RETURN_IF_ERROR(CheckCancelled());
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateBegin));
  stream_ = stub_->ReceiveDomain(&context_);
  SIMVISOR_RETURN_IF_ERROR(Offer());
  SIMVISOR_RETURN_IF_ERROR(CopyAll());
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateSent));
  SIMVISOR_RETURN_IF_ERROR(Read(v1::ReceiveDomainResponse::kPrepared));
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
  while (!precopy_->head_done()) SIMVISOR_RETURN_IF_ERROR(SendPiece());
  SIMVISOR_RETURN_IF_ERROR(Read(v1::ReceiveDomainResponse::kAdmitted));
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
    SIMVISOR_RETURN_IF_ERROR(SendPiece());
    SIMVISOR_RETURN_IF_ERROR(Pace());
    if (clock_->Now() - reported_at_ >= kReportEvery) ReportNow();
  }
  return absl::OkStatus();
}

absl::Status MigrationSource::NextPass() {
  pass_since_ = clock_->Now();
  suspended_since_ = pass_since_;
  const absl::Status turned = precopy_->Turn(BytesPerSecond());
  if (precopy_->suspended()) {
    migrations_->Suspended(plan_.id, precopy_->suspension());
  }
  SIMVISOR_RETURN_IF_ERROR(turned);
  if (!precopy_->suspended()) return Reach(FaultPoint::kMigratePass);
  Enter(v1::MIGRATION_PHASE_SUSPENDED);
  return Reach(FaultPoint::kMigrateSuspended);
}

absl::Status MigrationSource::SendPiece() {
  std::string& data = *request_.mutable_data();
  data.clear();
  SIMVISOR_RETURN_IF_ERROR(precopy_->Next(data));
  bytes_sent_ += data.size();
  while (data.size() > kChunkBytes) {
    v1::ReceiveDomainRequest part;
    part.set_data(data.substr(0, kChunkBytes));
    SIMVISOR_RETURN_IF_ERROR(Write(part));
    data.erase(0, kChunkBytes);
  }
  return data.empty() ? absl::OkStatus() : Write(request_);
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
  SIMVISOR_RETURN_IF_ERROR(
      migrations_->Note(plan_.id, SourceEvent::kPrepared).status());
  Enter(v1::MIGRATION_PHASE_COMMITTING);
  v1::ReceiveDomainRequest request;
  request.mutable_commit();
  SIMVISOR_RETURN_IF_ERROR(Write(request));
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateCommit));
  SIMVISOR_RETURN_IF_ERROR(Read(v1::ReceiveDomainResponse::kCommitted));
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateCommitted));
  SIMVISOR_RETURN_IF_ERROR(
      migrations_->Note(plan_.id, SourceEvent::kCommitted).status());
  *progress_.mutable_domain() = response_.committed().domain();
  progress_.set_downtime_ms(MillisecondsSince(suspended_since_));
  progress_.set_phase(v1::MIGRATION_PHASE_MOVED);
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kMigrateDone));
  // The domain has moved, whether the target hears of it or not.
  request.mutable_done();
  stream_->Write(request);
  stream_->WritesDone();
  EndStream();
  return absl::OkStatus();
}

absl::Status MigrationSource::Settle(const absl::Status& why) {
  context_.TryCancel();
  EndStream();
  SIMVISOR_ASSIGN_OR_RETURN(
      v1::Migration now,
      migrations_->Note(plan_.id, SourceEvent::kFailed, why.message()));
  now = migrations_->AskNow(now);
  if (now.state() == v1::MIGRATION_STATE_MOVED) {
    // COMMITTED was lost, but not what it said; or something failed after it.
    if (response_.has_committed()) {
      *progress_.mutable_domain() = response_.committed().domain();
    }
    progress_.set_phase(v1::MIGRATION_PHASE_MOVED);
    ReportNow();
    return absl::OkStatus();
  }
  if (now.state() != v1::MIGRATION_STATE_UNKNOWN) return why;
  return MakeError(
      absl::StatusCode::kUnavailable, Reason::kMigrationUnresolved,
      absl::StrCat("domain ", plan_.domain->id().value(), ": migration ",
                   plan_.id, ": ", plan_.target,
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

absl::Status MigrationSource::Write(const v1::ReceiveDomainRequest& request) {
  return stream_->Write(request) ? absl::OkStatus() : Broken();
}

absl::Status MigrationSource::Read(v1::ReceiveDomainResponse::StepCase step) {
  if (!stream_->Read(&response_)) return Broken();
  if (response_.step_case() == step) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInternal, Reason::kInternal,
      absl::StrCat("domain ", plan_.domain->id().value(), ": migrate to ",
                   plan_.target, ": it answered step ", response_.step_case(),
                   " where ", step, " was due"));
}

grpc::Status MigrationSource::EndStream() {
  if (stream_ == nullptr) return grpc::Status::OK;
  // gRPC tells the status behind the last message alone.
  while (stream_->Read(&response_)) {
  }
  const grpc::Status status = stream_->Finish();
  stream_ = nullptr;
  return status;
}

absl::Status MigrationSource::Broken() {
  const grpc::Status status = EndStream();
  SIMVISOR_RETURN_IF_ERROR(CheckCancelled());
  const std::string operation =
      absl::StrCat("domain ", plan_.domain->id().value(), ": migrate");
  if (status.ok()) {
    return MakeError(
        absl::StatusCode::kUnavailable, Reason::kTargetUnreachable,
        absl::StrCat(operation, ": ", plan_.target, " ended the stream early"));
  }
  if (status.error_code() == grpc::StatusCode::CANCELLED) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kMigrationSettled,
        absl::StrCat(operation, ": ", plan_.target,
                     " has given it up: somebody dropped it there, "
                     "or the daemon stops"));
  }
  return FromPeer(status, operation, plan_.target);
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
