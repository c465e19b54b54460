#include "server/migration_service.h"

#include <algorithm>
#include <optional>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "domain/units/error.h"
#include "domain/units/status_macros.h"
#include "server/argument.h"
#include "server/convert_live_migration.h"
#include "server/migrate_call.h"
#include "server/receive_call.h"
#include "server/restore_call.h"
#include "server/save_call.h"
#include "server/unary_call.h"

namespace simvisor::server {
namespace {

// Migrations that leave at once; more wait.
constexpr int kMigrationsAtOnce = 8;

std::string NewInstanceId() {
  std::random_device device;
  return absl::StrFormat("%016x",
                         std::uniform_int_distribution<uint64_t>()(device));
}

// Those to decide first, then those under way, then those that have ended.
int Urgency(v1::MigrationState state) {
  switch (state) {
    case v1::MIGRATION_STATE_UNKNOWN:
    case v1::MIGRATION_STATE_PREPARED:
      return 0;
    case v1::MIGRATION_STATE_COPYING:
    case v1::MIGRATION_STATE_COMMITTING:
    case v1::MIGRATION_STATE_RECEIVING:
      return 1;
    default:
      return 2;
  }
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
      return ArgumentMalformed(
          "decision", absl::StrCat("there is no MigrationDecision ", decision));
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
      absl::StrCat("migration ", migration.migration_id(), ": it is ",
                   v1::MigrationState_Name(migration.state()),
                   ", which this decision does not change; cancel one that is "
                   "under way, and treat what is left of one that has ended as "
                   "any domain"));
}

}  // namespace

MigrationServiceImpl::MigrationServiceImpl(Host* host, CallRunner* runner)
    : host_(host),
      runner_(runner),
      instance_id_(NewInstanceId()),
      incoming_(host, runner),
      outgoing_(host, runner),
      migrations_(kMigrationsAtOnce) {}

grpc::ServerBidiReactor<v1::SaveDomainRequest, v1::SaveDomainResponse>*
MigrationServiceImpl::SaveDomain(grpc::CallbackServerContext* context) {
  auto* const call = new SaveCall(host_, runner_, context);
  call->Start();
  return call;
}

grpc::ServerReadReactor<v1::RestoreDomainRequest>*
MigrationServiceImpl::RestoreDomain(grpc::CallbackServerContext* context,
                                    v1::RestoreDomainResponse* response) {
  auto* const call = new RestoreCall(host_, runner_, context, response);
  call->Start();
  return call;
}

grpc::ServerWriteReactor<v1::MigrateDomainResponse>*
MigrationServiceImpl::MigrateDomain(grpc::CallbackServerContext* context,
                                    const v1::MigrateDomainRequest* request) {
  auto* const call = new MigrateCall(host_, runner_, &outgoing_, &migrations_,
                                     context, *request);
  call->Start();
  return call;
}

grpc::ServerBidiReactor<v1::ReceiveDomainRequest, v1::ReceiveDomainResponse>*
MigrationServiceImpl::ReceiveDomain(grpc::CallbackServerContext* context) {
  auto* const call = new ReceiveCall(host_, runner_, &incoming_, context);
  call->Start();
  return call;
}

grpc::ServerUnaryReactor* MigrationServiceImpl::ListMigrations(
    grpc::CallbackServerContext* context,
    const v1::ListMigrationsRequest* /*request*/,
    v1::ListMigrationsResponse* response) {
  return RunOnPool(
      runner_, context, "ListMigrations", [this, response](const CallLimits&) {
        outgoing_.List(*response);
        incoming_.List(*response);
        auto& all = *response->mutable_migrations();
        std::stable_sort(all.begin(), all.end(),
                         [](const auto& a, const auto& b) {
                           return Urgency(a.state()) < Urgency(b.state());
                         });
        response->set_instance_id(instance_id_);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* MigrationServiceImpl::ResolveMigration(
    grpc::CallbackServerContext* context,
    const v1::ResolveMigrationRequest* request,
    v1::ResolveMigrationResponse* response) {
  return RunOnPool(runner_, context, "ResolveMigration",
                   [this, request, response](const CallLimits&) {
                     return Resolve(*request, response->mutable_migration());
                   });
}

absl::Status MigrationServiceImpl::Resolve(
    const v1::ResolveMigrationRequest& request, v1::Migration* out) {
  const std::string& id = request.migration_id();
  SIMVISOR_RETURN_IF_ERROR(CheckMigrationId(id));
  SIMVISOR_ASSIGN_OR_RETURN(const Decision decision,
                            FromProto(request.decision()));
  // A domain that has come may go back by the same id: then an operator means
  // the copy that waits for a decision.
  const absl::StatusOr<v1::Migration> leaving = outgoing_.Describe(id);
  const bool waits =
      leaving.ok() && leaving->state() == v1::MIGRATION_STATE_UNKNOWN;
  if (!waits || !decision.source.has_value()) {
    const absl::StatusOr<TargetState> incoming =
        incoming_.Decide(id, decision.target);
    if (incoming.ok()) {
      SIMVISOR_ASSIGN_OR_RETURN(*out, incoming_.Describe(id));
      return CheckTaken(*out, decision.incoming);
    }
    if (!decision.source.has_value()) return incoming.status();
  }
  SIMVISOR_RETURN_IF_ERROR(outgoing_.Note(id, *decision.source).status());
  SIMVISOR_ASSIGN_OR_RETURN(*out, outgoing_.Describe(id));
  return CheckTaken(*out, decision.outgoing);
}

}  // namespace simvisor::server
