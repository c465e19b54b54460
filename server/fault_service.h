// FaultService of the API.  See its .proto for the contract of each method.
//
// The methods run on gRPC's threads: they take the injector's lock alone, and
// the worker pool may be full of calls that a delay holds up.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_FAULT_SERVICE_H_
#define SIMVISOR_SERVER_FAULT_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "server/call_runner.h"
#include "simvisor/v1/fault_service.grpc.pb.h"

namespace simvisor::server {

class FaultServiceImpl final : public v1::FaultService::CallbackService {
 public:
  // `runner` outlives the server that this service is registered with.
  explicit FaultServiceImpl(CallRunner* runner) : runner_(runner) {}

  grpc::ServerUnaryReactor* AddFault(grpc::CallbackServerContext* context,
                                     const v1::AddFaultRequest* request,
                                     v1::AddFaultResponse* response) override;
  grpc::ServerUnaryReactor* ListFaults(
      grpc::CallbackServerContext* context,
      const v1::ListFaultsRequest* request,
      v1::ListFaultsResponse* response) override;
  grpc::ServerUnaryReactor* RemoveFaults(
      grpc::CallbackServerContext* context,
      const v1::RemoveFaultsRequest* request,
      v1::RemoveFaultsResponse* response) override;

 private:
  CallRunner* const runner_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_FAULT_SERVICE_H_
