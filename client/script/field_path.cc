#include "client/script/field_path.h"

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"

namespace simvisor::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::TextFormat;

bool IsMessage(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
}

bool IsText(ValueKind kind) {
  return kind == ValueKind::kString || kind == ValueKind::kBytes;
}

class NoErrors : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int, google::protobuf::io::ColumnNumber,
                const std::string&) override {}
};

// Parses `value` into the field, or into a new last element of the list.
bool ParseInto(const FieldDescriptor& field, const std::string& text,
               Message& message) {
  NoErrors errors;  // without a collector, the parser logs them
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  return parser.ParseFieldValueFromString(text, &field, &message);
}

// Sets element `index`, or the field itself if that is negative.
bool Set(const FieldDescriptor& field, int index, const std::string& text,
         Message& message) {
  if (index < 0) return ParseInto(field, text, message);
  const auto* reflection = message.GetReflection();
  const int last = reflection->FieldSize(message, &field);
  if (!ParseInto(field, text, message)) return false;
  reflection->SwapElements(&message, &field, index, last);
  reflection->RemoveLast(&message, &field);
  return true;
}

absl::Status CheckEnd(const FieldDescriptor& field) {
  if (!IsMessage(field)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("'", field.name(), "' is a message; name a field of it"));
}

}  // namespace

std::string NameOf(const ValueType& type) {
  switch (type.kind) {
    case ValueKind::kInteger:
      return "an integer";
    case ValueKind::kReal:
      return "a floating-point number";
    case ValueKind::kBool:
      return "a bool";
    case ValueKind::kEnum:
      return absl::StrCat("a ", type.enumeration->full_name());
    case ValueKind::kString:
      return "a string";
    case ValueKind::kBytes:
      return "bytes";
  }
  return "";
}

absl::StatusOr<FieldPath::Part> FieldPath::ParsePart(const Descriptor& type,
                                                     absl::string_view text) {
  const size_t bracket = text.find('[');
  const absl::string_view name = text.substr(0, bracket);
  const auto* field = type.FindFieldByName(std::string(name));
  if (field == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(type.full_name(), " has no field '", name, "'"));
  }
  if (field->is_map()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", name, "' is a map, and a path cannot lead into a map"));
  }
  if (!field->is_repeated()) {
    if (bracket == absl::string_view::npos) return Part{field, -1};
    return absl::InvalidArgumentError(
        absl::StrCat("'", name, "' is not a list, and takes no index"));
  }
  absl::string_view digits =
      bracket == absl::string_view::npos ? "" : text.substr(bracket + 1);
  int index = 0;
  if (!absl::ConsumeSuffix(&digits, "]") || !absl::SimpleAtoi(digits, &index) ||
      index < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", name, "' is a list; name an element, such as ", name, "[0]"));
  }
  return Part{field, index};
}

absl::StatusOr<FieldPath> FieldPath::Parse(const Descriptor& type,
                                           absl::string_view text) {
  FieldPath path;
  path.text_ = std::string(text);
  const Descriptor* inside = &type;
  for (const absl::string_view word : absl::StrSplit(text, '.')) {
    if (inside == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", path.parts_.back().field->name(),
                       "' is not a message, and has no field '", word, "'"));
    }
    SIMVISOR_ASSIGN_OR_RETURN(const Part part, ParsePart(*inside, word));
    inside = part.field->message_type();
    path.parts_.push_back(part);
  }
  SIMVISOR_RETURN_IF_ERROR(CheckEnd(*path.parts_.back().field));
  return path;
}

ValueType FieldPath::type() const {
  const FieldDescriptor& field = *parts_.back().field;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return {ValueKind::kReal};
    case FieldDescriptor::CPPTYPE_BOOL:
      return {ValueKind::kBool};
    case FieldDescriptor::CPPTYPE_ENUM:
      return {ValueKind::kEnum, field.enum_type()};
    case FieldDescriptor::CPPTYPE_STRING:
      return {field.type() == FieldDescriptor::TYPE_BYTES ? ValueKind::kBytes
                                                          : ValueKind::kString};
    default:
      return {ValueKind::kInteger};
  }
}

absl::Status FieldPath::CheckPresent(const Part& part,
                                     const Message& message) const {
  const auto* reflection = message.GetReflection();
  if (part.index < 0) {
    if (!part.field->has_presence() ||
        reflection->HasField(message, part.field)) {
      return absl::OkStatus();
    }
    return absl::NotFoundError(
        absl::StrCat(text_, ": '", part.field->name(), "' is not set"));
  }
  const int size = reflection->FieldSize(message, part.field);
  if (part.index < size) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(text_, ": '", part.field->name(),
                                          "' has ", size, " elements"));
}

absl::StatusOr<std::string> FieldPath::Read(const Message& message) const {
  const Message* at = &message;
  for (const Part& part : parts_) {
    SIMVISOR_RETURN_IF_ERROR(CheckPresent(part, *at));
    if (!IsMessage(*part.field)) break;
    const auto* reflection = at->GetReflection();
    at = part.index < 0
             ? &reflection->GetMessage(*at, part.field)
             : &reflection->GetRepeatedMessage(*at, part.field, part.index);
  }
  const Part& last = parts_.back();
  std::string text;
  if (IsText(type().kind)) {
    const auto* reflection = at->GetReflection();
    return last.index < 0
               ? reflection->GetStringReference(*at, last.field, &text)
               : reflection->GetRepeatedStringReference(*at, last.field,
                                                        last.index, &text);
  }
  TextFormat::PrintFieldValueToString(*at, last.field, last.index, &text);
  return text;
}

absl::Status FieldPath::CheckRoom(const Part& part,
                                  const Message& message) const {
  if (part.index >= 0) return CheckPresent(part, message);
  const auto* oneof = part.field->containing_oneof();
  if (oneof == nullptr) return absl::OkStatus();
  const auto* other =
      message.GetReflection()->GetOneofFieldDescriptor(message, oneof);
  if (other == nullptr || other == part.field) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(text_, ": '", other->name(), "' is set, and only one of '",
                   oneof->name(), "' can be"));
}

std::string FieldPath::Show(const std::string& value) const {
  if (!IsText(type().kind)) return value;
  return absl::StrCat("\"", absl::CEscape(value), "\"");
}

absl::Status FieldPath::Write(const std::string& value,
                              Message& message) const {
  Message* at = &message;
  for (const Part& part : parts_) {
    SIMVISOR_RETURN_IF_ERROR(CheckRoom(part, *at));
    if (!IsMessage(*part.field)) break;
    const auto* reflection = at->GetReflection();
    at = part.index < 0
             ? reflection->MutableMessage(at, part.field)
             : reflection->MutableRepeatedMessage(at, part.field, part.index);
  }
  const Part& last = parts_.back();
  if (Set(*last.field, last.index, Show(value), *at)) return absl::OkStatus();
  return absl::OutOfRangeError(absl::StrCat(text_, ": ", value,
                                            " does not fit in a field of type ",
                                            last.field->type_name()));
}

absl::Status FieldPath::TryWrite(Message& message) const {
  const ValueType wanted = type();
  switch (wanted.kind) {
    case ValueKind::kInteger:
    case ValueKind::kReal:
      return Write("0", message);
    case ValueKind::kBool:
      return Write("false", message);
    case ValueKind::kEnum:
      return Write(wanted.enumeration->value(0)->name(), message);
    case ValueKind::kString:
    case ValueKind::kBytes:
      return Write("", message);
  }
  return absl::OkStatus();
}

}  // namespace simvisor::client
