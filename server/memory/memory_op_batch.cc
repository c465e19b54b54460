#include "server/memory/memory_op_batch.h"

#include <grpcpp/support/proto_buffer_reader.h>

#include <cassert>

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "server/calls/raw_message.h"
#include "server/convert/argument.h"

namespace simvisor::server {
namespace {

using google::protobuf::internal::WireFormatLite;

constexpr char kStreamMethod[] = "StreamMemoryOps";

absl::Status Malformed() {
  return MessageMalformed(
      kStreamMethod, v1::StreamMemoryOpsRequest::descriptor()->full_name());
}

// Checked before parsing, since an operation of two bytes takes a hundred or
// more once it is parsed.
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

absl::Status MemoryOpBatch::Parse(MessageBudget& budget,
                                  grpc::ByteBuffer& message) {
  assert(size() == 0 && charge_.bytes() == 0);
  const absl::Status fits = CheckNumberOfOps(&message);
  if (!fits.ok()) return fits;
  return ReadMessage(budget, kStreamMethod, message, arena_, *request_,
                     charge_);
}

const grpc::ByteBuffer* MemoryOpReply::Serialize(MessageBudget& budget) {
  assert(!serialized_.Valid());
  WriteMessageAlways(budget, *response_, serialized_);
  return &serialized_;
}

}  // namespace simvisor::server
