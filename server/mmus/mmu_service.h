// SecondaryMmuService of the API.  See its .proto for the contract of each
// method.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_MMUS_MMU_SERVICE_H_
#define SIMVISOR_SERVER_MMUS_MMU_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "server/calls/call_runner.h"
#include "server/calls/raw_service.h"
#include "simvisor/v1/secondary_mmu_service.grpc.pb.h"

namespace simvisor::server {

using SecondaryMmuServiceBase = RawService<
    v1::SecondaryMmuService,
    v1::SecondaryMmuService::WithRawCallbackMethod_Subscribe,
    v1::SecondaryMmuService::WithRawCallbackMethod_ListSecondaryMmus,
    v1::SecondaryMmuService::WithRawCallbackMethod_ListSecondaryMappings,
    v1::SecondaryMmuService::WithRawCallbackMethod_SampleAccessed,
    v1::SecondaryMmuService::WithRawCallbackMethod_FenceSecondaryMmu>;

class SecondaryMmuServiceImpl final : public SecondaryMmuServiceBase {
 public:
  // `runner` outlives the server that this service is registered with.
  explicit SecondaryMmuServiceImpl(CallRunner* runner) : runner_(runner) {}

  RawBidiReactor* Subscribe(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* ListSecondaryMmus(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out) override;
  RawWriteReactor* ListSecondaryMappings(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* in) override;
  grpc::ServerUnaryReactor* SampleAccessed(grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer* in,
                                           grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* FenceSecondaryMmu(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out) override;

 private:
  CallRunner* const runner_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MMUS_MMU_SERVICE_H_
