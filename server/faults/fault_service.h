// FaultService of the API.  See its .proto for the contract of each method.
//
// The methods run on gRPC's threads: they take only the injector's lock, and
// the worker pool may be full of calls that wait for an injected delay.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_FAULTS_FAULT_SERVICE_H_
#define SIMVISOR_SERVER_FAULTS_FAULT_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "server/calls/call_runner.h"
#include "server/calls/raw_service.h"
#include "simvisor/v1/fault_service.grpc.pb.h"

namespace simvisor::server {

using FaultServiceBase =
    RawService<v1::FaultService,
               v1::FaultService::WithRawCallbackMethod_AddFault,
               v1::FaultService::WithRawCallbackMethod_ListFaults,
               v1::FaultService::WithRawCallbackMethod_RemoveFaults,
               v1::FaultService::WithRawCallbackMethod_SetFaultInjection>;

class FaultServiceImpl final : public FaultServiceBase {
 public:
  // `runner` outlives the server that this service is registered with.
  explicit FaultServiceImpl(CallRunner* runner) : runner_(runner) {}

  grpc::ServerUnaryReactor* AddFault(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* in,
                                     grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* ListFaults(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* in,
                                       grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* RemoveFaults(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* in,
                                         grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* SetFaultInjection(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out) override;

 private:
  CallRunner* const runner_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_FAULTS_FAULT_SERVICE_H_
