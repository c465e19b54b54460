#include "client/api/memory_ops_stream.h"

#include <chrono>

#include "client/api/error.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "simvisor/v1/memory_service.grpc.pb.h"

namespace simvisor::client {

struct MemoryOpsStream::OpenCall {
  explicit OpenCall(const std::shared_ptr<grpc::Channel>& channel)
      : stub(channel) {}

  v1::MemoryService::Stub stub;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReaderWriter<v1::StreamMemoryOpsRequest,
                                           v1::StreamMemoryOpsResponse>>
      stream;
};

MemoryOpsStream::MemoryOpsStream(const std::shared_ptr<grpc::Channel>& channel,
                                 const std::string& address,
                                 std::optional<absl::Duration> timeout,
                                 const ResponseHook& on_response)
    : address_(address),
      on_response_(on_response),
      call_(std::make_unique<OpenCall>(channel)) {
  if (timeout) {
    call_->context.set_deadline(std::chrono::system_clock::now() +
                                absl::ToChronoMicroseconds(*timeout));
  }
  call_->stream = call_->stub.StreamMemoryOps(&call_->context);
}

MemoryOpsStream::~MemoryOpsStream() = default;

bool MemoryOpsStream::Write(const v1::StreamMemoryOpsRequest& request) {
  return call_->stream->Write(request);
}

void MemoryOpsStream::WritesDone() { call_->stream->WritesDone(); }

bool MemoryOpsStream::Read(v1::StreamMemoryOpsResponse* response) {
  if (!call_->stream->Read(response)) return false;
  if (on_response_) on_response_(*response);
  return true;
}

absl::Status MemoryOpsStream::Finish() {
  return FromGrpc(call_->stream->Finish(), address_, "StreamMemoryOps");
}

}  // namespace simvisor::client
