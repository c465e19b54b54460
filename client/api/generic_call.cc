#include "client/api/generic_call.h"

#include <chrono>
#include <string>

#include "absl/strings/str_cat.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "grpcpp/support/slice.h"

namespace simvisor::client {
namespace {

// How often a call asks whether it must end.
constexpr std::chrono::milliseconds kAskEvery(50);

// The operations of one call, one at a time.
class Operations {
 public:
  Operations(grpc::ClientContext& context,
             const std::function<bool()>& must_end)
      : context_(context), must_end_(must_end) {}

  grpc::CompletionQueue& queue() { return queue_; }

  // Waits for the only pending operation; returns whether it succeeded.
  bool Wait() {
    void* tag = nullptr;
    bool ok = false;
    while (must_end_) {
      const auto got = queue_.AsyncNext(
          &tag, &ok, std::chrono::system_clock::now() + kAskEvery);
      if (got != grpc::CompletionQueue::TIMEOUT) return ok;
      // Ends the operation, which the queue then returns.
      if (must_end_()) context_.TryCancel();
    }
    return queue_.Next(&tag, &ok) && ok;
  }

 private:
  grpc::ClientContext& context_;
  const std::function<bool()>& must_end_;
  grpc::CompletionQueue queue_;
};

grpc::ByteBuffer Serialize(const google::protobuf::Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

bool MergeSerialized(grpc::ByteBuffer& buffer,
                     google::protobuf::Message& message) {
  grpc::ProtoBufferReader reader(&buffer);
  google::protobuf::io::CodedInputStream input(&reader);
  return reader.status().ok() && message.MergeFromCodedStream(&input);
}

}  // namespace

grpc::Status GenericCall(const std::shared_ptr<grpc::Channel>& channel,
                         grpc::ClientContext& context,
                         const google::protobuf::MethodDescriptor& method,
                         const google::protobuf::Message& request,
                         google::protobuf::Message& response,
                         const std::function<bool()>& must_end) {
  const std::string path =
      absl::StrCat("/", method.service()->full_name(), "/", method.name());
  grpc::GenericStub stub(channel);
  Operations operations(context, must_end);
  const auto call = stub.PrepareCall(&context, path, &operations.queue());
  call->StartCall(nullptr);
  bool parsed = true;
  if (operations.Wait()) {
    call->WriteLast(Serialize(request), grpc::WriteOptions(), nullptr);
    operations.Wait();
    grpc::ByteBuffer buffer;
    for (call->Read(&buffer, nullptr); operations.Wait() && parsed;
         call->Read(&buffer, nullptr)) {
      parsed = MergeSerialized(buffer, response);
      if (!parsed) context.TryCancel();
    }
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  operations.Wait();
  if (!parsed) {
    return {grpc::StatusCode::INTERNAL,
            absl::StrCat(path, ": a response cannot be parsed")};
  }
  return status;
}

}  // namespace simvisor::client
