#include "server/memory_op_batch.h"

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "server/argument.h"

namespace simvisor::server {
namespace {

using google::protobuf::internal::WireFormatLite;

absl::Status Malformed() {
  return ArgumentMalformed("message",
                           "no StreamMemoryOpsRequest: its bytes cannot be "
                           "parsed, or text in it is not UTF-8");
}

// Since an operation of two bytes takes some hundred once it is parsed.
absl::Status CheckNumberOfOps(grpc::ByteBuffer* message) {
  constexpr uint32_t kOpsTag =
      WireFormatLite::MakeTag(v1::StreamMemoryOpsRequest::kOpsFieldNumber,
                              WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
  grpc::ProtoBufferReader reader(message);
  if (!reader.status().ok()) return Malformed();
  google::protobuf::io::CodedInputStream stream(&reader);
  uint64_t count = 0;
  while (const uint32_t tag = stream.ReadTag()) {
    if (!WireFormatLite::SkipField(&stream, tag)) return Malformed();
    if (tag == kOpsTag) ++count;
  }
  return CheckAtMost("ops", count, kMaxOpsPerMessage);
}

}  // namespace

absl::Status MemoryOpBatch::Parse(grpc::ByteBuffer* message) {
  const absl::Status fits = CheckNumberOfOps(message);
  if (!fits.ok()) return fits;
  grpc::ProtoBufferReader reader(message);
  return request_->ParseFromZeroCopyStream(&reader) ? absl::OkStatus()
                                                    : Malformed();
}

const grpc::ByteBuffer* MemoryOpReply::Serialize() {
  bool owns_buffer = false;
  // Fails for a message of 2 GiB and above alone; those here have some 2 MiB.
  (void)grpc::SerializationTraits<v1::StreamMemoryOpsResponse>::Serialize(
      *response_, &serialized_, &owns_buffer);
  return &serialized_;
}

}  // namespace simvisor::server
