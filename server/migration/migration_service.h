// MigrationService of the API.  See its .proto for the contract of each method.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_MIGRATION_MIGRATION_SERVICE_H_
#define SIMVISOR_SERVER_MIGRATION_MIGRATION_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <string>

#include "absl/status/status.h"
#include "server/calls/call_runner.h"
#include "server/calls/raw_service.h"
#include "server/migration/migration_queue.h"
#include "server/migration/migration_targets.h"
#include "server/sessions/incoming_migrations.h"
#include "server/sessions/outgoing_migrations.h"
#include "simvisor/v1/migration_service.grpc.pb.h"

namespace simvisor::server {

using MigrationServiceBase =
    RawService<v1::MigrationService,
               v1::MigrationService::WithRawCallbackMethod_SaveDomain,
               v1::MigrationService::WithRawCallbackMethod_RestoreDomain,
               v1::MigrationService::WithRawCallbackMethod_MigrateDomain,
               v1::MigrationService::WithRawCallbackMethod_ReceiveDomain,
               v1::MigrationService::WithRawCallbackMethod_ListMigrations,
               v1::MigrationService::WithRawCallbackMethod_ResolveMigration>;

class MigrationServiceImpl final : public MigrationServiceBase {
 public:
  // `runner` must outlive this object and the server that it is registered
  // with.
  MigrationServiceImpl(CallRunner* runner, MigrationTargets targets);

  RawBidiReactor* SaveDomain(grpc::CallbackServerContext* context) override;
  RawReadReactor* RestoreDomain(grpc::CallbackServerContext* context,
                                grpc::ByteBuffer* out) override;
  RawWriteReactor* MigrateDomain(grpc::CallbackServerContext* context,
                                 const grpc::ByteBuffer* in) override;
  RawBidiReactor* ReceiveDomain(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* ListMigrations(grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer* in,
                                           grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* ResolveMigration(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out) override;

 private:
  absl::Status Decide(const v1::ResolveMigrationRequest& request,
                      v1::Migration* out);

  CallRunner* const runner_;
  const std::string instance_id_;
  IncomingMigrations incoming_;
  OutgoingMigrations outgoing_;
  AskingThread asking_;
  const MigrationTargets targets_;
  // Declared last, so that it ends before the members that its jobs use.
  MigrationQueue queue_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_MIGRATION_SERVICE_H_
