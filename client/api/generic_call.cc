#include "client/api/generic_call.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "grpcpp/support/slice.h"

namespace simvisor::client {
namespace {

// Waits for the only pending operation; returns whether it succeeded.
bool Wait(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  return queue.Next(&tag, &ok) && ok;
}

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
                         google::protobuf::Message& response) {
  const std::string path =
      absl::StrCat("/", method.service()->full_name(), "/", method.name());
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(&context, path, &queue);
  call->StartCall(nullptr);
  bool parsed = true;
  if (Wait(queue)) {
    call->WriteLast(Serialize(request), grpc::WriteOptions(), nullptr);
    Wait(queue);
    grpc::ByteBuffer buffer;
    for (call->Read(&buffer, nullptr); Wait(queue) && parsed;
         call->Read(&buffer, nullptr)) {
      parsed = MergeSerialized(buffer, response);
      if (!parsed) context.TryCancel();
    }
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  Wait(queue);
  if (!parsed) {
    return {grpc::StatusCode::INTERNAL,
            absl::StrCat(path, ": a response cannot be parsed")};
  }
  return status;
}

}  // namespace simvisor::client
