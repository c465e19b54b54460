// MigrationService of the API.  See its .proto for the contract of each method.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_MIGRATION_SERVICE_H_
#define SIMVISOR_SERVER_MIGRATION_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "domain/host/host.h"
#include "server/call_runner.h"
#include "simvisor/v1/migration_service.grpc.pb.h"

namespace simvisor::server {

class MigrationServiceImpl final
    : public v1::MigrationService::CallbackService {
 public:
  // Both outlive the server that this service is registered with.
  MigrationServiceImpl(Host* host, CallRunner* runner)
      : host_(host), runner_(runner) {}

  grpc::ServerBidiReactor<v1::SaveDomainRequest, v1::SaveDomainResponse>*
  SaveDomain(grpc::CallbackServerContext* context) override;
  grpc::ServerReadReactor<v1::RestoreDomainRequest>* RestoreDomain(
      grpc::CallbackServerContext* context,
      v1::RestoreDomainResponse* response) override;

 private:
  Host* const host_;
  CallRunner* const runner_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_SERVICE_H_
