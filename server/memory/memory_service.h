// MemoryService of the API.  See its .proto for the contract of each method.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_MEMORY_MEMORY_SERVICE_H_
#define SIMVISOR_SERVER_MEMORY_MEMORY_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "server/calls/call_runner.h"
#include "server/calls/raw_service.h"
#include "simvisor/v1/memory_service.grpc.pb.h"

namespace simvisor::server {

using MemoryServiceBase =
    RawService<v1::MemoryService,
               v1::MemoryService::WithRawCallbackMethod_BalloonDown,
               v1::MemoryService::WithRawCallbackMethod_BalloonUp,
               v1::MemoryService::WithRawCallbackMethod_SetMemoryTarget,
               v1::MemoryService::WithRawCallbackMethod_SetMaxMemory,
               v1::MemoryService::WithRawCallbackMethod_MarkIdentityRange,
               v1::MemoryService::WithRawCallbackMethod_SetP2mRange,
               v1::MemoryService::WithRawCallbackMethod_TranslatePfns,
               v1::MemoryService::WithRawCallbackMethod_TranslateMfns,
               v1::MemoryService::WithRawCallbackMethod_MapForeignFrames,
               v1::MemoryService::WithRawCallbackMethod_UnmapForeignFrames,
               v1::MemoryService::WithRawCallbackMethod_ListP2mRuns,
               v1::MemoryService::WithRawCallbackMethod_GetP2mSummary,
               v1::MemoryService::WithRawCallbackMethod_GetMfnListList,
               v1::MemoryService::WithRawCallbackMethod_ReadGuestMemory,
               v1::MemoryService::WithRawCallbackMethod_WriteGuestMemory,
               v1::MemoryService::WithRawCallbackMethod_StreamMemoryOps>;

class MemoryServiceImpl final : public MemoryServiceBase {
 public:
  // `runner` outlives the server that this service is registered with.
  explicit MemoryServiceImpl(CallRunner* runner) : runner_(runner) {}

  grpc::ServerUnaryReactor* BalloonDown(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* in,
                                        grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* BalloonUp(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* in,
                                      grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* SetMemoryTarget(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* SetMaxMemory(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* in,
                                         grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* MarkIdentityRange(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* SetP2mRange(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* in,
                                        grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* TranslatePfns(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* in,
                                          grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* TranslateMfns(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* in,
                                          grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* MapForeignFrames(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* UnmapForeignFrames(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out) override;
  RawWriteReactor* ListP2mRuns(grpc::CallbackServerContext* context,
                               const grpc::ByteBuffer* in) override;
  grpc::ServerUnaryReactor* GetP2mSummary(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* in,
                                          grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* GetMfnListList(grpc::CallbackServerContext* context,
                                           const grpc::ByteBuffer* in,
                                           grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* ReadGuestMemory(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* WriteGuestMemory(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out) override;
  RawBidiReactor* StreamMemoryOps(
      grpc::CallbackServerContext* context) override;

 private:
  CallRunner* const runner_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MEMORY_MEMORY_SERVICE_H_
