// MigrationService of the API.  See its .proto for the contract of each method.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_MIGRATION_SERVICE_H_
#define SIMVISOR_SERVER_MIGRATION_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <string>

#include "absl/status/status.h"
#include "domain/host/host.h"
#include "server/call_runner.h"
#include "server/incoming_migrations.h"
#include "server/outgoing_migrations.h"
#include "server/worker_pool.h"
#include "simvisor/v1/migration_service.grpc.pb.h"

namespace simvisor::server {

class MigrationServiceImpl final
    : public v1::MigrationService::CallbackService {
 public:
  // Both outlive the server that this service is registered with, and this
  // object.
  MigrationServiceImpl(Host* host, CallRunner* runner);

  grpc::ServerBidiReactor<v1::SaveDomainRequest, v1::SaveDomainResponse>*
  SaveDomain(grpc::CallbackServerContext* context) override;
  grpc::ServerReadReactor<v1::RestoreDomainRequest>* RestoreDomain(
      grpc::CallbackServerContext* context,
      v1::RestoreDomainResponse* response) override;
  grpc::ServerWriteReactor<v1::MigrateDomainResponse>* MigrateDomain(
      grpc::CallbackServerContext* context,
      const v1::MigrateDomainRequest* request) override;
  grpc::ServerBidiReactor<v1::ReceiveDomainRequest, v1::ReceiveDomainResponse>*
  ReceiveDomain(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* ListMigrations(
      grpc::CallbackServerContext* context,
      const v1::ListMigrationsRequest* request,
      v1::ListMigrationsResponse* response) override;
  grpc::ServerUnaryReactor* ResolveMigration(
      grpc::CallbackServerContext* context,
      const v1::ResolveMigrationRequest* request,
      v1::ResolveMigrationResponse* response) override;

 private:
  absl::Status Resolve(const v1::ResolveMigrationRequest& request,
                       v1::Migration* out);

  Host* const host_;
  CallRunner* const runner_;
  const std::string instance_id_;
  IncomingMigrations incoming_;
  OutgoingMigrations outgoing_;
  // Ends before what its jobs use.
  WorkerPool migrations_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_SERVICE_H_
