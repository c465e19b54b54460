#include "server/calls/raw_message.h"

#include <grpc/slice.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "server/calls/text_fields.h"
#include "server/convert/argument.h"

namespace simvisor::server {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// Smaller messages cannot have enough elements to matter, and the longest lists
// that the API takes fit into this size.  So only messages that are mostly the
// data of pages or of an image are counted, which takes no time.
constexpr size_t kCountedAbove = size_t{1} << 20;

// Goes through the bytes of a message as its parser will, and counts.
class ElementCounter {
 public:
  explicit ElementCounter(CodedInputStream* stream) : stream_(*stream) {}

  // False if the bytes cannot be parsed, or once there are too many.
  bool Count(const Descriptor& type) {
    while (const uint32_t tag = stream_.ReadTag()) {
      if (!CountOne() || !CountField(type, tag)) return false;
    }
    return true;
  }
  bool too_many() const { return count_ > kMaxElements; }

 private:
  bool CountOne() { return ++count_ <= kMaxElements; }

  bool CountField(const Descriptor& type, uint32_t tag) {
    switch (WireFormatLite::GetTagWireType(tag)) {
      case WireFormatLite::WIRETYPE_LENGTH_DELIMITED:
        return CountDelimited(
            type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag)));
      case WireFormatLite::WIRETYPE_START_GROUP:
      case WireFormatLite::WIRETYPE_END_GROUP:
        // Unknown to this API; the fields between them are still counted.
        return true;
      default:
        return WireFormatLite::SkipField(&stream_, tag);
    }
  }

  bool CountDelimited(const FieldDescriptor* field) {
    int length = 0;
    if (!stream_.ReadVarintSizeAsInt(&length)) return false;
    if (field == nullptr) return stream_.Skip(length);
    // A packed number takes eight bytes at most.
    if (field->message_type() == nullptr) return stream_.Skip(length);
    const CodedInputStream::Limit outer = stream_.PushLimit(length);
    if (!stream_.IncrementRecursionDepth()) return false;
    if (!Count(*field->message_type())) return false;
    stream_.DecrementRecursionDepth();
    stream_.PopLimit(outer);
    return true;
  }

  CodedInputStream& stream_;
  uint64_t count_ = 0;
};

absl::Status CheckElements(absl::string_view method, grpc::ByteBuffer& bytes,
                           const Descriptor& type) {
  grpc::ProtoBufferReader reader(&bytes);
  CodedInputStream stream(&reader);
  ElementCounter counter(&stream);
  if (counter.Count(type)) return absl::OkStatus();
  if (!counter.too_many()) return MessageMalformed(method, type.full_name());
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kArgumentTooLarge,
      absl::StrCat(method, ": the ", type.full_name(), " has more than ",
                   kMaxElements, " fields and elements of lists; split it"),
      {{fact::kOperation, method}, {fact::kLimit, kMaxElements}});
}

// The error of ReadMessage() for bytes that protobuf cannot parse.
absl::Status Unparsable(absl::string_view method, grpc::ByteBuffer& bytes,
                        const Descriptor& type) {
  grpc::ProtoBufferReader reader(&bytes);
  if (!reader.status().ok()) return MessageMalformed(method, type.full_name());
  CodedInputStream stream(&reader);
  const auto field = FindNonUtf8Field(stream, type);
  if (!field) return MessageMalformed(method, type.full_name());
  return ArgumentMalformed(
      method, absl::StrCat("the message is not a ", type.full_name(), ": ",
                           *field, ", as all text is"));
}

// Bytes of an answer, with their charge.
struct CountedBytes {
  MessageBudget::Charge charge;

  uint8_t* data() { return reinterpret_cast<uint8_t*>(this + 1); }
  static void Free(void* bytes) {
    static_cast<CountedBytes*>(bytes)->~CountedBytes();
    ::operator delete(bytes);
  }
};

// REQUIRES: message.ByteSizeLong() has just returned `size`.
void Serialize(const google::protobuf::Message& message, size_t size,
               MessageBudget::Charge charge, grpc::ByteBuffer& bytes) {
  assert(static_cast<size_t>(message.GetCachedSize()) == size);
  if (size <= GRPC_SLICE_INLINED_SIZE) {
    uint8_t few[GRPC_SLICE_INLINED_SIZE];
    message.SerializeWithCachedSizesToArray(few);
    const grpc::Slice slice(few, size);
    bytes = grpc::ByteBuffer(&slice, 1);
    return;
  }
  void* const memory = ::operator new(sizeof(CountedBytes) + size);
  auto* const counted = new (memory) CountedBytes{std::move(charge)};
  message.SerializeWithCachedSizesToArray(counted->data());
  const grpc::Slice slice(counted->data(), size, CountedBytes::Free, counted);
  bytes = grpc::ByteBuffer(&slice, 1);
}

}  // namespace

absl::Status MessageMalformed(absl::string_view method,
                              absl::string_view type) {
  return ArgumentMalformed(
      method, absl::StrCat("the message is not a ", type,
                           ": its bytes cannot be parsed, or text in it is not "
                           "UTF-8"));
}

absl::Status ReadMessage(MessageBudget& budget, absl::string_view method,
                         grpc::ByteBuffer& bytes,
                         const google::protobuf::Arena& arena,
                         google::protobuf::Message& message,
                         MessageBudget::Charge& charge) {
  const size_t size = bytes.Valid() ? bytes.Length() : 0;
  SIMVISOR_RETURN_IF_ERROR(budget.Add(method, size, &charge));
  if (size > kCountedAbove) {
    SIMVISOR_RETURN_IF_ERROR(
        CheckElements(method, bytes, *message.GetDescriptor()));
  }
  {
    grpc::ProtoBufferReader reader(&bytes);
    if (!reader.status().ok() || !message.ParseFromZeroCopyStream(&reader)) {
      return Unparsable(method, bytes, *message.GetDescriptor());
    }
  }
  bytes.Clear();
  return budget.Add(method, arena.SpaceAllocated(), &charge);
}

absl::Status WriteMessage(MessageBudget& budget, absl::string_view method,
                          const google::protobuf::Message& message,
                          grpc::ByteBuffer& bytes) {
  MessageBudget::Charge charge;
  const size_t size = message.ByteSizeLong();
  if (size > MessageBudget::kSmallBytes) {
    SIMVISOR_RETURN_IF_ERROR(budget.Add(method, size, &charge));
  } else if (size > GRPC_SLICE_INLINED_SIZE) {
    budget.AddAlways(size, &charge);
  }
  Serialize(message, size, std::move(charge), bytes);
  return absl::OkStatus();
}

void WriteMessageAlways(MessageBudget& budget,
                        const google::protobuf::Message& message,
                        grpc::ByteBuffer& bytes) {
  MessageBudget::Charge charge;
  const size_t size = message.ByteSizeLong();
  budget.AddAlways(size, &charge);
  Serialize(message, size, std::move(charge), bytes);
}

}  // namespace simvisor::server
