#include "client/api/memory_ops_stream.h"

#include <chrono>

#include "client/api/error.h"

namespace simvisor::client {

MemoryOpsStream::MemoryOpsStream(v1::MemoryService::Stub& stub,
                                 const std::string& address,
                                 std::optional<absl::Duration> timeout,
                                 const ResponseHook& on_response)
    : address_(address), on_response_(on_response) {
  if (timeout) {
    context_.set_deadline(std::chrono::system_clock::now() +
                          absl::ToChronoMicroseconds(*timeout));
  }
  stream_ = stub.StreamMemoryOps(&context_);
}

bool MemoryOpsStream::Write(const v1::StreamMemoryOpsRequest& request) {
  return stream_->Write(request);
}

void MemoryOpsStream::WritesDone() { stream_->WritesDone(); }

bool MemoryOpsStream::Read(v1::StreamMemoryOpsResponse* response) {
  if (!stream_->Read(response)) return false;
  if (on_response_) on_response_(*response);
  return true;
}

absl::Status MemoryOpsStream::Finish() {
  return FromGrpc(stream_->Finish(), address_);
}

}  // namespace simvisor::client
