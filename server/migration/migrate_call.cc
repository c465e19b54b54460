#include "server/migration/migrate_call.h"

#include <unistd.h>

#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "server/calls/rpc_status.h"
#include "server/calls/stall_timer.h"
#include "server/convert/argument.h"
#include "server/convert/common.h"
#include "server/convert/live_migration.h"
#include "server/images/xl_config.h"
#include "server/machine/memory_reserve.h"
#include "server/migration/convert_migration.h"
#include "server/migration/grpc_peer.h"
#include "server/migration/migration_ids.h"

namespace simvisor::server {
namespace {

std::string SourceName() {
  char name[256] = "";
  gethostname(name, sizeof(name) - 1);
  return absl::StrFormat("%s (pid %d)", name, getpid());
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
      // Take() consumes the buffer, as for unary methods.
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
      const std::unique_ptr<SourceSession> session,
      WithinMemory("MigrateDomain", [&] { return MakeSession(target); }));
  {
    absl::MutexLock lock(&mu_);
    session_ = session.get();
  }
  // The call may have been cancelled before session_ was set.
  if (const absl::Status over = limits_(); !over.ok()) session->Cancel(over);
  absl::Status status = UnlessExhausted([&] { return session->Run(); });
  absl::MutexLock lock(&mu_);
  session_ = nullptr;
  return status;
}

absl::StatusOr<std::unique_ptr<SourceSession>> MigrateCall::MakeSession(
    const PeerAddress& target) {
  SIMVISOR_ASSIGN_OR_RETURN(const DomainSelector selector,
                            FromProto(request_->domain()));
  SIMVISOR_ASSIGN_OR_RETURN(const PrecopyPolicy policy,
                            FromProto(request_->policy()));
  std::string id = request_->migration_id();
  if (id.empty()) id = NewMigrationId();
  SIMVISOR_RETURN_IF_ERROR(CheckMigrationId(id));
  SIMVISOR_ASSIGN_OR_RETURN(std::shared_ptr<Domain> domain,
                            runner_->host().FindGuest(selector, "migrate"));
  SIMVISOR_ASSIGN_OR_RETURN(std::string config, MakeXlConfig(*domain));
  const Clock::Time::duration window = runner_->stalls.window();
  const SourceSession::Tools tools = {.migrations = migrations_,
                                      .faults = &runner_->machine.faults(),
                                      .clock = SystemClock(),
                                      .stall_timeout = window};
  return std::make_unique<SourceSession>(
      SourceSession::Plan{
          .id = id,
          .domain = std::move(domain),
          .target = std::make_shared<GrpcPeer>(target, SystemClock(), window),
          .policy = policy,
          .start_paused = request_->start_paused(),
          .config = std::move(config),
          .source = SourceName()},
      tools, [this, id](const MigrationProgress& progress) {
        Post(ToProto(id, progress));
      });
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
    // The write failed: the client is gone, and gRPC cancels the call.
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
      // Bounds the time that the client has to take this report.
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
    // Wait() cannot fail: nothing interrupts this call.
    static_cast<void>(
        watch_.Wait(StallWait::kWrite, [this] { StartWrite(&write_); }));
  }
  if (due == Due::kFinish) Finish(ToGrpcStatus(outcome_));
}

void MigrateCall::OnCancel() {
  if (queue_->Withdraw(this)) return End(limits_());
  absl::MutexLock lock(&mu_);
  if (session_ != nullptr) session_->Cancel(limits_());
}

}  // namespace simvisor::server
