#include "client/api/mmu_stream.h"

#include "client/api/error.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "simvisor/v1/secondary_mmu_service.grpc.pb.h"

namespace simvisor::client {

struct MmuStream::OpenCall {
  explicit OpenCall(const std::shared_ptr<grpc::Channel>& channel)
      : stub(channel), stream(stub.Subscribe(&context)) {}

  v1::SecondaryMmuService::Stub stub;
  grpc::ClientContext context;
  std::unique_ptr<
      grpc::ClientReaderWriter<v1::SubscribeRequest, v1::SubscribeResponse>>
      stream;
};

uint64_t AnsweredRequest(const v1::SubscribeResponse& message) {
  using Message = v1::SubscribeResponse;
  switch (message.message_case()) {
    case Message::kResolved:
      return message.resolved().req();
    case Message::kInstalled:
      return message.installed().req();
    case Message::kNotMapped:
      return message.not_mapped().req();
    case Message::kRetry:
      return message.retry().req();
    case Message::kFaultError:
      return message.fault_error().req();
    case Message::kAccessed:
      return message.accessed().req();
    case Message::kWatched:
      return message.watched().req();
    case Message::kUnwatched:
      return message.unwatched().req();
    default:
      return 0;
  }
}

MmuStream::MmuStream(const std::shared_ptr<grpc::Channel>& channel,
                     const std::string& address,
                     const ResponseHook& on_response)
    : address_(address),
      on_response_(on_response),
      call_(std::make_unique<OpenCall>(channel)) {}

MmuStream::~MmuStream() = default;

bool MmuStream::Write(const v1::SubscribeRequest& request) {
  return call_->stream->Write(request);
}

bool MmuStream::Read(v1::SubscribeResponse* response) {
  if (!call_->stream->Read(response)) return false;
  if (on_response_) on_response_(*response);
  return true;
}

void MmuStream::Cancel() { call_->context.TryCancel(); }

absl::Status MmuStream::Finish() {
  return FromGrpc(call_->stream->Finish(), address_, "Subscribe");
}

}  // namespace simvisor::client
