// MemoryService of the API.  See its .proto for the contract of each method.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_MEMORY_SERVICE_H_
#define SIMVISOR_SERVER_MEMORY_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "domain/host/host.h"
#include "server/call_runner.h"
#include "server/memory_service_base.h"
#include "simvisor/v1/memory_service.grpc.pb.h"

namespace simvisor::server {

class MemoryServiceImpl final : public MemoryServiceBase {
 public:
  // Both outlive the server that this service is registered with.
  MemoryServiceImpl(Host* host, CallRunner* runner)
      : host_(host), runner_(runner) {}

  grpc::ServerUnaryReactor* BalloonDown(
      grpc::CallbackServerContext* context,
      const v1::BalloonDownRequest* request,
      v1::BalloonDownResponse* response) override;
  grpc::ServerUnaryReactor* BalloonUp(grpc::CallbackServerContext* context,
                                      const v1::BalloonUpRequest* request,
                                      v1::BalloonUpResponse* response) override;
  grpc::ServerUnaryReactor* SetMemoryTarget(
      grpc::CallbackServerContext* context,
      const v1::SetMemoryTargetRequest* request,
      v1::SetMemoryTargetResponse* response) override;
  grpc::ServerUnaryReactor* SetMaxMemory(
      grpc::CallbackServerContext* context,
      const v1::SetMaxMemoryRequest* request,
      v1::SetMaxMemoryResponse* response) override;
  grpc::ServerUnaryReactor* MarkIdentityRange(
      grpc::CallbackServerContext* context,
      const v1::MarkIdentityRangeRequest* request,
      v1::MarkIdentityRangeResponse* response) override;
  grpc::ServerUnaryReactor* SetP2mRange(
      grpc::CallbackServerContext* context,
      const v1::SetP2mRangeRequest* request,
      v1::SetP2mRangeResponse* response) override;
  grpc::ServerUnaryReactor* TranslatePfns(
      grpc::CallbackServerContext* context,
      const v1::TranslatePfnsRequest* request,
      v1::TranslatePfnsResponse* response) override;
  grpc::ServerUnaryReactor* TranslateMfns(
      grpc::CallbackServerContext* context,
      const v1::TranslateMfnsRequest* request,
      v1::TranslateMfnsResponse* response) override;
  grpc::ServerUnaryReactor* MapForeignFrames(
      grpc::CallbackServerContext* context,
      const v1::MapForeignFramesRequest* request,
      v1::MapForeignFramesResponse* response) override;
  grpc::ServerUnaryReactor* UnmapForeignFrames(
      grpc::CallbackServerContext* context,
      const v1::UnmapForeignFramesRequest* request,
      v1::UnmapForeignFramesResponse* response) override;
  grpc::ServerWriteReactor<v1::ListP2mRunsResponse>* ListP2mRuns(
      grpc::CallbackServerContext* context,
      const v1::ListP2mRunsRequest* request) override;
  grpc::ServerUnaryReactor* GetP2mSummary(
      grpc::CallbackServerContext* context,
      const v1::GetP2mSummaryRequest* request,
      v1::GetP2mSummaryResponse* response) override;
  grpc::ServerUnaryReactor* GetMfnListList(
      grpc::CallbackServerContext* context,
      const v1::GetMfnListListRequest* request,
      v1::GetMfnListListResponse* response) override;
  grpc::ServerUnaryReactor* ReadGuestMemory(
      grpc::CallbackServerContext* context,
      const v1::ReadGuestMemoryRequest* request,
      v1::ReadGuestMemoryResponse* response) override;
  grpc::ServerUnaryReactor* WriteGuestMemory(
      grpc::CallbackServerContext* context,
      const v1::WriteGuestMemoryRequest* request,
      v1::WriteGuestMemoryResponse* response) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StreamMemoryOps(
      grpc::CallbackServerContext* context) override;

 private:
  Host* const host_;
  CallRunner* const runner_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MEMORY_SERVICE_H_
