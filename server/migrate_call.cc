#include "server/migrate_call.h"

#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "domain/units/status_macros.h"
#include "server/argument.h"
#include "server/convert_common.h"
#include "server/convert_live_migration.h"
#include "server/rpc_status.h"

namespace simvisor::server {
namespace {

// Both daemons must never have heard of it, so it comes from the system and not
// from a seed.
std::string RandomId() {
  std::random_device device;
  std::uniform_int_distribution<uint64_t> any;
  return absl::StrFormat("%016x%016x", any(device), any(device));
}

}  // namespace

MigrateCall::MigrateCall(Host* host, CallRunner* runner,
                         OutgoingMigrations* migrations, WorkerPool* pool,
                         const grpc::CallbackServerContext* context,
                         const grpc::ByteBuffer* in)
    : host_(host),
      runner_(runner),
      migrations_(migrations),
      pool_(pool),
      limits_(context),
      record_(&runner->calls, "MigrateDomain"),
      in_(in) {}

void MigrateCall::Start() {
  const absl::Status status =
      // As for unary methods.
      request_.Take(runner_->messages, "MigrateDomain",
                    const_cast<grpc::ByteBuffer&>(*in_));
  if (!status.ok()) return End(status);
  pool_->Submit([this] { End(Migrate()); });
}

absl::Status MigrateCall::Migrate() {
  SIMVISOR_RETURN_IF_ERROR(limits_());
  SIMVISOR_ASSIGN_OR_RETURN(MigrationSource::Plan plan, MakePlan());
  MigrationSource source(
      std::move(plan), migrations_, runner_->faults,
      [this](const v1::MigrateDomainResponse& progress) { Post(progress); });
  {
    absl::MutexLock lock(&mu_);
    source_ = &source;
  }
  // It may have been cancelled before there was anything to cancel.
  if (const absl::Status over = limits_(); !over.ok()) source.Cancel(over);
  absl::Status status = source.Run();
  absl::MutexLock lock(&mu_);
  source_ = nullptr;
  return status;
}

absl::StatusOr<MigrationSource::Plan> MigrateCall::MakePlan() const {
  MigrationSource::Plan plan;
  SIMVISOR_ASSIGN_OR_RETURN(const DomainSelector selector,
                            FromProto(request_->domain()));
  if (request_->target().empty()) {
    return ArgumentMissing("target",
                           "name the daemon that the domain moves to, as "
                           "unix:PATH or HOST:PORT");
  }
  plan.target = request_->target();
  SIMVISOR_ASSIGN_OR_RETURN(plan.policy, FromProto(request_->policy()));
  plan.id = request_->migration_id();
  if (plan.id.empty()) plan.id = RandomId();
  SIMVISOR_RETURN_IF_ERROR(CheckMigrationId(plan.id));
  SIMVISOR_ASSIGN_OR_RETURN(plan.domain, host_->FindGuest(selector, "migrate"));
  plan.start_paused = request_->start_paused();
  return plan;
}

void MigrateCall::Post(const v1::MigrateDomainResponse& progress) {
  Due due;
  {
    absl::MutexLock lock(&mu_);
    waiting_ = progress;
    due = TakeDue();
  }
  Do(due);
}

void MigrateCall::OnWriteDone(bool ok) {
  Due due;
  {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    // A client that is gone cancels the call.
    if (!ok) waiting_.reset();
    due = TakeDue();
  }
  Do(due);
}

void MigrateCall::End(const absl::Status& status) {
  record_.LogOutcome(status);
  Due due;
  {
    absl::MutexLock lock(&mu_);
    outcome_ = status;
    ended_ = true;
    due = TakeDue();
  }
  Do(due);
}

MigrateCall::Due MigrateCall::TakeDue() {
  if (writing_) return Due::kNothing;
  if (waiting_.has_value()) {
    WriteMessageAlways(runner_->messages,
                       *std::exchange(waiting_, std::nullopt), write_);
    writing_ = true;
    return Due::kWrite;
  }
  return ended_ ? Due::kFinish : Due::kNothing;
}

void MigrateCall::Do(Due due) {
  if (due == Due::kWrite) StartWrite(&write_);
  if (due == Due::kFinish) Finish(ToGrpcStatus(outcome_));
}

void MigrateCall::OnCancel() {
  absl::MutexLock lock(&mu_);
  if (source_ != nullptr) source_->Cancel(limits_());
}

}  // namespace simvisor::server
