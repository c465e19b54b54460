// HostService of the API.  See its .proto for the contract of each method.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_HOST_SERVICE_H_
#define SIMVISOR_SERVER_HOST_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "domain/host/host.h"
#include "server/call_runner.h"
#include "simvisor/v1/host_service.grpc.pb.h"

namespace simvisor::server {

class HostServiceImpl final : public v1::HostService::CallbackService {
 public:
  // Both outlive the server that this service is registered with.
  HostServiceImpl(Host* host, CallRunner* runner)
      : host_(host), runner_(runner) {}

  grpc::ServerUnaryReactor* GetHost(grpc::CallbackServerContext* context,
                                    const v1::GetHostRequest* request,
                                    v1::GetHostResponse* response) override;
  grpc::ServerWriteReactor<v1::LookupFramesResponse>* LookupFrames(
      grpc::CallbackServerContext* context,
      const v1::LookupFramesRequest* request) override;
  grpc::ServerWriteReactor<v1::ReadFramesResponse>* ReadFrames(
      grpc::CallbackServerContext* context,
      const v1::ReadFramesRequest* request) override;
  grpc::ServerUnaryReactor* AuditHost(grpc::CallbackServerContext* context,
                                      const v1::AuditHostRequest* request,
                                      v1::AuditHostResponse* response) override;

 private:
  Host* const host_;
  CallRunner* const runner_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_HOST_SERVICE_H_
