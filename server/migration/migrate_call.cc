#include "server/migration/migrate_call.h"

#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "server/calls/rpc_status.h"
#include "server/calls/stall_timer.h"
#include "server/convert/argument.h"
#include "server/convert/common.h"
#include "server/convert/live_migration.h"
#include "server/machine/memory_reserve.h"

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

MigrateCall::MigrateCall(CallRunner* runner, OutgoingMigrations* migrations,
                         MigrationQueue* queue, const MigrationTargets* targets,
                         grpc::CallbackServerContext* context,
                         const grpc::ByteBuffer* in)
    : StreamReactor(runner, &runner->pool, &runner->calls, context,
                    "MigrateDomain"),
      migrations_(migrations),
      queue_(queue),
      targets_(targets),
      in_(in) {}

void MigrateCall::Stalled(const absl::Status& why) {
  Finish(ToGrpcStatus(why));
}

void MigrateCall::Start() {
  const absl::Status status = Queue();
  if (!status.ok()) End(status);
}

absl::Status MigrateCall::Queue() {
  SIMVISOR_RETURN_IF_ERROR(
      // As for unary methods.
      request_.Take(runner_->messages, "MigrateDomain",
                    const_cast<grpc::ByteBuffer&>(*in_)));
  SIMVISOR_ASSIGN_OR_RETURN(const PeerAddress target, Target());
  return queue_->Submit(this, target.ToString(),
                        [this, target] { End(Migrate(target)); });
}

absl::StatusOr<PeerAddress> MigrateCall::Target() const {
  if (request_->target().empty()) {
    return ArgumentMissing("target",
                           "name the daemon that the domain moves to, as "
                           "unix:PATH or ADDRESS:PORT");
  }
  SIMVISOR_ASSIGN_OR_RETURN(PeerAddress target,
                            PeerAddress::Parse(request_->target()));
  SIMVISOR_RETURN_IF_ERROR(targets_->Check(target));
  return target;
}

absl::Status MigrateCall::Migrate(const PeerAddress& target) {
  SIMVISOR_RETURN_IF_ERROR(limits_());
  SIMVISOR_ASSIGN_OR_RETURN(
      MigrationSource::Plan plan,
      WithinMemory("MigrateDomain", [&] { return MakePlan(target); }));
  MigrationSource source(
      std::move(plan), migrations_, &runner_->machine.faults(),
      runner_->stalls.window(),
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

absl::StatusOr<MigrationSource::Plan> MigrateCall::MakePlan(
    const PeerAddress& target) const {
  SIMVISOR_ASSIGN_OR_RETURN(const DomainSelector selector,
                            FromProto(request_->domain()));
  SIMVISOR_ASSIGN_OR_RETURN(const PrecopyPolicy policy,
                            FromProto(request_->policy()));
  std::string id = request_->migration_id();
  if (id.empty()) id = RandomId();
  SIMVISOR_RETURN_IF_ERROR(CheckMigrationId(id));
  SIMVISOR_ASSIGN_OR_RETURN(std::shared_ptr<Domain> domain,
                            runner_->host().FindGuest(selector, "migrate"));
  return MigrationSource::Plan{.id = std::move(id),
                               .domain = std::move(domain),
                               .target = target,
                               .policy = policy,
                               .start_paused = request_->start_paused()};
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
    if (watched_ && !watch_.Done()) return;
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
    if (writing_) {
      // What the client has not taken so far.
      watched_ = watch_.Wait(StallWait::kWrite, [] {});
    }
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
    watched_ = ended_;
    return ended_ ? Due::kLastWrite : Due::kWrite;
  }
  return ended_ ? Due::kFinish : Due::kNothing;
}

void MigrateCall::Do(Due due) {
  if (due == Due::kWrite) StartWrite(&write_);
  if (due == Due::kLastWrite) {
    // Nothing interrupts the call before.
    static_cast<void>(
        watch_.Wait(StallWait::kWrite, [this] { StartWrite(&write_); }));
  }
  if (due == Due::kFinish) Finish(ToGrpcStatus(outcome_));
}

void MigrateCall::OnCancel() {
  if (queue_->Withdraw(this)) return End(limits_());
  absl::MutexLock lock(&mu_);
  if (source_ != nullptr) source_->Cancel(limits_());
}

}  // namespace simvisor::server
