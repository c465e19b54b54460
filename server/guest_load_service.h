// GuestLoadService of the API.  See its .proto for the contract of each method.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_GUEST_LOAD_SERVICE_H_
#define SIMVISOR_SERVER_GUEST_LOAD_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "domain/host/host.h"
#include "server/call_runner.h"
#include "simvisor/v1/guest_load_service.grpc.pb.h"

namespace simvisor::server {

class GuestLoadServiceImpl final
    : public v1::GuestLoadService::CallbackService {
 public:
  // Both outlive the server that this service is registered with.
  GuestLoadServiceImpl(Host* host, CallRunner* runner)
      : host_(host), runner_(runner) {}

  grpc::ServerUnaryReactor* StartGuestLoad(
      grpc::CallbackServerContext* context,
      const v1::StartGuestLoadRequest* request,
      v1::StartGuestLoadResponse* response) override;
  grpc::ServerUnaryReactor* GetGuestLoad(
      grpc::CallbackServerContext* context,
      const v1::GetGuestLoadRequest* request,
      v1::GetGuestLoadResponse* response) override;
  grpc::ServerUnaryReactor* StopGuestLoad(
      grpc::CallbackServerContext* context,
      const v1::StopGuestLoadRequest* request,
      v1::StopGuestLoadResponse* response) override;
  grpc::ServerUnaryReactor* CheckGuestLoad(
      grpc::CallbackServerContext* context,
      const v1::CheckGuestLoadRequest* request,
      v1::CheckGuestLoadResponse* response) override;

 private:
  Host* const host_;
  CallRunner* const runner_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_GUEST_LOAD_SERVICE_H_
