#include "client/ui/json.h"

#include <cassert>
#include <utility>

#include "client/api/error.h"
#include "client/api/own_reason.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/json_util.h"

namespace simvisor::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

void UnquoteNumbers(const Descriptor& type, Json& object);

// protobuf writes numbers of 64 bits as strings.
void UnquoteIn(const FieldDescriptor& field, Json& value) {
  const FieldDescriptor::CppType type = field.cpp_type();
  if (value.is_object()) {
    UnquoteNumbers(*field.message_type(), value);
  } else if (type == FieldDescriptor::CPPTYPE_UINT64 ||
             type == FieldDescriptor::CPPTYPE_INT64) {
    value = Json::parse(value.get_ref<const std::string&>());
  }
}

void UnquoteNumbers(const Descriptor& type, Json& object) {
  for (auto& [name, value] : object.items()) {
    const FieldDescriptor& field = *type.FindFieldByName(name);
    if (value.is_array()) {
      for (Json& element : value) UnquoteIn(field, element);
    } else {
      UnquoteIn(field, value);
    }
  }
}

}  // namespace

absl::StatusOr<Json> ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status =
      google::protobuf::util::MessageToJsonString(message, &text, options);
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!status.ok() || !json.is_object()) {
    return WithReason(
        absl::InternalError("the response cannot be shown as JSON"),
        OwnReason::kResponseInvalid);
  }
  UnquoteNumbers(*message.GetDescriptor(), json);
  return json;
}

Json ToJson(const absl::Status& status) {
  assert(!status.ok());
  Json metadata = Json::object();
  for (auto& [name, value] : MetadataOf(status)) metadata[name] = value;
  return {{"code", absl::StatusCodeToString(status.code())},
          {"reason", AnyReasonOf(status)},
          {"message", std::string(status.message())},
          {"metadata", std::move(metadata)}};
}

std::string Lines(const Json& json) {
  return json.dump(4, ' ', true, Json::error_handler_t::replace);
}

std::string OneLine(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace simvisor::client
