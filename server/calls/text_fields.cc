#include "server/calls/text_fields.h"

#include "absl/strings/str_cat.h"
#include "base/printable.h"
#include "google/protobuf/wire_format_lite.h"

namespace simvisor::server {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// Goes through the bytes of a message as its parser will.
class TextFinder {
 public:
  explicit TextFinder(CodedInputStream& stream) : stream_(stream) {}

  // False once there is nothing more to read; found() then has the result.
  bool Read(const Descriptor& type, const std::string& path) {
    while (const uint32_t tag = stream_.ReadTag()) {
      const FieldDescriptor* const field =
          type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
      const bool has_text = field != nullptr &&
                            (field->type() == FieldDescriptor::TYPE_STRING ||
                             field->message_type() != nullptr) &&
                            WireFormatLite::GetTagWireType(tag) ==
                                WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
      const bool read =
          has_text ? ReadField(*field, absl::StrCat(path, field->name()))
                   : WireFormatLite::SkipField(&stream_, tag);
      if (!read) return false;
    }
    return true;
  }

  std::optional<std::string> found() const { return found_; }

 private:
  bool ReadField(const FieldDescriptor& field, const std::string& name) {
    int length = 0;
    if (!stream_.ReadVarintSizeAsInt(&length)) return false;
    if (field.message_type() == nullptr) return ReadText(name, length);
    const CodedInputStream::Limit outer = stream_.PushLimit(length);
    if (!stream_.IncrementRecursionDepth()) return false;
    if (!Read(*field.message_type(), absl::StrCat(name, "."))) return false;
    stream_.DecrementRecursionDepth();
    stream_.PopLimit(outer);
    return true;
  }

  bool ReadText(const std::string& name, int length) {
    std::string text;
    if (!stream_.ReadString(&text, length)) return false;
    const auto fault = FindNonUtf8(text);
    if (fault) found_ = absl::StrCat(name, ": ", *fault);
    return !fault;
  }

  CodedInputStream& stream_;
  std::optional<std::string> found_;
};

}  // namespace

std::optional<std::string> FindNonUtf8Field(CodedInputStream& stream,
                                            const Descriptor& type) {
  TextFinder finder(stream);
  finder.Read(type, "");
  return finder.found();
}

}  // namespace simvisor::server
