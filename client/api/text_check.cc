#include "client/api/text_check.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "google/protobuf/descriptor.h"

namespace simvisor::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// How much of a text is shown, including the invalid byte.
constexpr size_t kShownBytes = 80;

std::string PartAround(absl::string_view text, size_t at) {
  const size_t first = at < kShownBytes ? 0 : at - kShownBytes / 2;
  return absl::StrCat(first > 0 ? "..." : "",
                      Printable(text.substr(first, kShownBytes)),
                      first + kShownBytes < text.size() ? "..." : "");
}

// Deeper than any message of the API.
constexpr int kMaxDepth = 32;

// Whether a message of this type, or one inside it, has strings: skips long
// lists without any.
bool HasStrings(const Descriptor& type, int depth = 0) {
  if (depth > kMaxDepth) return true;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.type() == FieldDescriptor::TYPE_STRING ||
        (field.message_type() != nullptr &&
         HasStrings(*field.message_type(), depth + 1))) {
      return true;
    }
  }
  return false;
}

bool HasStrings(const FieldDescriptor& field) {
  return field.type() == FieldDescriptor::TYPE_STRING ||
         (field.message_type() != nullptr && HasStrings(*field.message_type()));
}

absl::Status CheckFields(const Message& message, const std::string& path);

// Checks element `index` of a list, or the field itself if `index` is negative.
absl::Status CheckField(const Message& message, const FieldDescriptor& field,
                        int index, const std::string& path) {
  const auto& reflection = *message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    const Message& inner =
        index < 0 ? reflection.GetMessage(message, &field)
                  : reflection.GetRepeatedMessage(message, &field, index);
    return CheckFields(inner, absl::StrCat(path, "."));
  }
  std::string scratch;
  return CheckUtf8(
      path, index < 0 ? reflection.GetStringReference(message, &field, &scratch)
                      : reflection.GetRepeatedStringReference(message, &field,
                                                              index, &scratch));
}

absl::Status CheckFields(const Message& message, const std::string& path) {
  std::vector<const FieldDescriptor*> set;
  message.GetReflection()->ListFields(message, &set);
  for (const FieldDescriptor* field : set) {
    if (!HasStrings(*field)) continue;
    const std::string name = absl::StrCat(path, field->name());
    const int count = field->is_repeated()
                          ? message.GetReflection()->FieldSize(message, field)
                          : 0;
    for (int i = 0; i < count; ++i) {
      SIMVISOR_RETURN_IF_ERROR(
          CheckField(message, *field, i, absl::StrCat(name, "[", i, "]")));
    }
    if (field->is_repeated()) continue;
    SIMVISOR_RETURN_IF_ERROR(CheckField(message, *field, -1, name));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckUtf8(absl::string_view what, absl::string_view text) {
  const auto at = NonUtf8Offset(text);
  if (!at) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      what, " \"", PartAround(text, *at), "\": ", *FindNonUtf8(text),
      "; convert it, such as with iconv -f latin1 -t utf-8"));
}

absl::Status CheckStrings(const Message& message) {
  return CheckFields(message, "");
}

}  // namespace simvisor::client
