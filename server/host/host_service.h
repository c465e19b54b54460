// HostService of the API.  See its .proto for the contract of each method.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_HOST_HOST_SERVICE_H_
#define SIMVISOR_SERVER_HOST_HOST_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>

#include "server/calls/call_runner.h"
#include "server/calls/raw_service.h"
#include "server/host/shared_audit.h"
#include "simvisor/v1/host_service.grpc.pb.h"

namespace simvisor::server {

using HostServiceBase =
    RawService<v1::HostService, v1::HostService::WithRawCallbackMethod_GetHost,
               v1::HostService::WithRawCallbackMethod_LookupFrames,
               v1::HostService::WithRawCallbackMethod_ReadFrames,
               v1::HostService::WithRawCallbackMethod_AuditHost>;

class HostServiceImpl final : public HostServiceBase {
 public:
  // `runner` outlives the server that this service is registered with.
  explicit HostServiceImpl(CallRunner* runner);

  grpc::ServerUnaryReactor* GetHost(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* in,
                                    grpc::ByteBuffer* out) override;
  RawWriteReactor* LookupFrames(grpc::CallbackServerContext* context,
                                const grpc::ByteBuffer* in) override;
  RawWriteReactor* ReadFrames(grpc::CallbackServerContext* context,
                              const grpc::ByteBuffer* in) override;
  grpc::ServerUnaryReactor* AuditHost(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* in,
                                      grpc::ByteBuffer* out) override;

 private:
  CallRunner* const runner_;
  const std::shared_ptr<SharedAudit> audits_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_HOST_HOST_SERVICE_H_
