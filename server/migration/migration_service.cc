#include "server/migration/migration_service.h"

#include <optional>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "server/calls/open_stream.h"
#include "server/calls/unary_call.h"
#include "server/convert/argument.h"
#include "server/convert/live_migration.h"
#include "server/images/restore_call.h"
#include "server/images/save_call.h"
#include "server/migration/migrate_call.h"
#include "server/migration/migration_pages.h"
#include "server/migration/receive_call.h"

namespace simvisor::server {
namespace {

std::string NewInstanceId() {
  std::random_device device;
  return absl::StrFormat("%016x",
                         std::uniform_int_distribution<uint64_t>()(device));
}

struct Decision {
  std::optional<SourceEvent> source;
  TargetEvent target;
  // What the migration comes to, if the decision is taken.
  v1::MigrationState outgoing;
  v1::MigrationState incoming;
};

absl::StatusOr<Decision> FromProto(v1::MigrationDecision decision) {
  switch (decision) {
    case v1::MIGRATION_DECISION_DROP_UNLESS_COMMITTED:
      return Decision{std::nullopt, TargetEvent::kAsked,
                      v1::MIGRATION_STATE_UNSPECIFIED,
                      v1::MIGRATION_STATE_UNSPECIFIED};
    case v1::MIGRATION_DECISION_KEEP:
      return Decision{SourceEvent::kKeep, TargetEvent::kKeep,
                      v1::MIGRATION_STATE_KEPT, v1::MIGRATION_STATE_COMMITTED};
    case v1::MIGRATION_DECISION_DROP:
      return Decision{SourceEvent::kDrop, TargetEvent::kDrop,
                      v1::MIGRATION_STATE_MOVED, v1::MIGRATION_STATE_DROPPED};
    case v1::MIGRATION_DECISION_UNSPECIFIED:
      return ArgumentMissing("decision", "say what becomes of the copy here");
    default:
      return UnknownValue("decision", decision,
                          "MIGRATION_DECISION_DROP_UNLESS_COMMITTED, "
                          "MIGRATION_DECISION_KEEP or MIGRATION_DECISION_DROP");
  }
}

absl::Status CheckTaken(const v1::Migration& migration,
                        v1::MigrationState wanted) {
  if (wanted == v1::MIGRATION_STATE_UNSPECIFIED ||
      migration.state() == wanted) {
    return absl::OkStatus();
  }
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kMigrationSettled,
      absl::StrCat(
          "migration ", migration.migration_id(), ": it is ",
          v1::MigrationState_Name(migration.state()),
          ", which this decision does not change; cancel the call that "
          "moves one that is under way, and treat what is left of one "
          "that has ended as any domain"));
}

}  // namespace

MigrationServiceImpl::MigrationServiceImpl(CallRunner* runner,
                                           MigrationTargets targets)
    : runner_(runner),
      instance_id_(NewInstanceId()),
      incoming_(&runner->machine),
      outgoing_(runner),
      targets_(std::move(targets)) {}

RawBidiReactor* MigrationServiceImpl::SaveDomain(
    grpc::CallbackServerContext* context) {
  return OpenStream<SaveCall>(runner_, "SaveDomain", runner_, context);
}

RawReadReactor* MigrationServiceImpl::RestoreDomain(
    grpc::CallbackServerContext* context, grpc::ByteBuffer* out) {
  return OpenStream<RestoreCall>(runner_, "RestoreDomain", runner_, context,
                                 out);
}

RawWriteReactor* MigrationServiceImpl::MigrateDomain(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in) {
  return OpenStream<MigrateCall>(runner_, "MigrateDomain", runner_, &outgoing_,
                                 &queue_, &targets_, context, in);
}

RawBidiReactor* MigrationServiceImpl::ReceiveDomain(
    grpc::CallbackServerContext* context) {
  return OpenStream<ReceiveCall>(runner_, "ReceiveDomain", runner_, &incoming_,
                                 context);
}

grpc::ServerUnaryReactor* MigrationServiceImpl::ListMigrations(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  return RunOnPool(runner_, {context, in, out}, "ListMigrations",
                   [this](const v1::ListMigrationsRequest& request,
                          v1::ListMigrationsResponse* response, StopCheck) {
                     response->set_instance_id(instance_id_);
                     return FillMigrationPage(outgoing_, incoming_, request,
                                              response);
                   });
}

grpc::ServerUnaryReactor* MigrationServiceImpl::ResolveMigration(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  // It may destroy a domain, or wait for a call that receives one.
  return RunOn(&runner_->decisions, runner_, {context, in, out},
               "ResolveMigration",
               [this](const v1::ResolveMigrationRequest& request,
                      v1::ResolveMigrationResponse* response, StopCheck) {
                 return Resolve(request, response->mutable_migration());
               });
}

absl::Status MigrationServiceImpl::Resolve(
    const v1::ResolveMigrationRequest& request, v1::Migration* out) {
  const std::string& id = request.migration_id();
  SIMVISOR_RETURN_IF_ERROR(CheckMigrationId(id));
  SIMVISOR_ASSIGN_OR_RETURN(const Decision decision,
                            FromProto(request.decision()));
  // A domain that went and came back may have taken the same id both ways.
  const bool is_source = decision.source.has_value() && outgoing_.IsUnknown(id);
  if (!is_source) {
    absl::StatusOr<v1::Migration> incoming =
        incoming_.Decide(id, decision.target);
    if (incoming.ok()) {
      *out = *std::move(incoming);
      return CheckTaken(*out, decision.incoming);
    }
    if (!decision.source.has_value()) return incoming.status();
  }
  SIMVISOR_ASSIGN_OR_RETURN(*out, outgoing_.Note(id, *decision.source));
  return CheckTaken(*out, decision.outgoing);
}

}  // namespace simvisor::server
