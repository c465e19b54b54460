#include "server/migration/migration_service.h"

#include <functional>
#include <utility>

#include "base/status_macros.h"
#include "server/calls/open_stream.h"
#include "server/calls/unary_call.h"
#include "server/convert/live_migration.h"
#include "server/images/restore_call.h"
#include "server/images/save_call.h"
#include "server/migration/convert_migration.h"
#include "server/migration/migrate_call.h"
#include "server/migration/migration_ids.h"
#include "server/migration/migration_pages.h"
#include "server/migration/receive_call.h"
#include "server/sessions/resolve.h"
#include "server/threads/clock.h"

namespace simvisor::server {

MigrationServiceImpl::MigrationServiceImpl(CallRunner* runner,
                                           MigrationTargets targets)
    : runner_(runner),
      instance_id_(NewInstanceId()),
      incoming_(
          &runner->machine, SystemClock(), IncomingMigrations::Bounds(),
          [this](absl::string_view id) { return outgoing_.FindDomain(id); }),
      outgoing_(&runner->machine, SystemClock(),
                [runner](std::function<void()> job) {
                  runner->images.Submit(std::move(job));
                }),
      asking_(&outgoing_),
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
                 return Decide(request, response->mutable_migration());
               });
}

absl::Status MigrationServiceImpl::Decide(
    const v1::ResolveMigrationRequest& request, v1::Migration* out) {
  SIMVISOR_RETURN_IF_ERROR(CheckMigrationId(request.migration_id()));
  SIMVISOR_ASSIGN_OR_RETURN(const MigrationDecision decision,
                            FromProto(request.decision()));
  SIMVISOR_ASSIGN_OR_RETURN(
      const AnyRecord record,
      Resolve(outgoing_, incoming_, request.migration_id(), decision));
  *out = ToProto(record);
  return absl::OkStatus();
}

}  // namespace simvisor::server
