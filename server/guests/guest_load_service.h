// GuestLoadService of the API.  See its .proto for the contract of each method.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_GUESTS_GUEST_LOAD_SERVICE_H_
#define SIMVISOR_SERVER_GUESTS_GUEST_LOAD_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "server/calls/call_runner.h"
#include "server/calls/raw_service.h"
#include "simvisor/v1/guest_load_service.grpc.pb.h"

namespace simvisor::server {

using GuestLoadServiceBase =
    RawService<v1::GuestLoadService,
               v1::GuestLoadService::WithRawCallbackMethod_StartGuestLoad,
               v1::GuestLoadService::WithRawCallbackMethod_GetGuestLoad,
               v1::GuestLoadService::WithRawCallbackMethod_StopGuestLoad,
               v1::GuestLoadService::WithRawCallbackMethod_CheckGuestLoad>;

class GuestLoadServiceImpl final : public GuestLoadServiceBase {
 public:
  // `runner` outlives the server that this service is registered with.
  explicit GuestLoadServiceImpl(CallRunner* runner) : runner_(runner) {}

  grpc::ServerUnaryReactor* StartGuestLoad(grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer* in,
                                           grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* GetGuestLoad(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* in,
                                         grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* StopGuestLoad(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* in,
                                          grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* CheckGuestLoad(grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer* in,
                                           grpc::ByteBuffer* out) override;

 private:
  CallRunner* const runner_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_GUESTS_GUEST_LOAD_SERVICE_H_
