// JSON objects for output that no message of the API describes.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_UI_JSON_OBJECT_H_
#define SIMVISOR_CLIENT_UI_JSON_OBJECT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "google/protobuf/struct.pb.h"

namespace simvisor::client {

// A JSON object that is built field by field and printed like a message.
class JsonObject {
 public:
  JsonObject& Set(absl::string_view name, absl::string_view text) {
    Field(name).set_string_value(std::string(text));
    return *this;
  }
  JsonObject& SetBool(absl::string_view name, bool value) {
    Field(name).set_bool_value(value);
    return *this;
  }
  JsonObject& SetNumber(absl::string_view name, double number) {
    Field(name).set_number_value(number);
    return *this;
  }
  JsonObject& SetObject(absl::string_view name, JsonObject object) {
    *Field(name).mutable_struct_value() = std::move(object.fields_);
    return *this;
  }
  // Appends to the list `name`, which starts empty.
  JsonObject& Append(absl::string_view name, JsonObject object) {
    *Field(name).mutable_list_value()->add_values()->mutable_struct_value() =
        std::move(object.fields_);
    return *this;
  }
  JsonObject& SetTexts(absl::string_view name,
                       const std::vector<std::string>& texts) {
    auto* list = Field(name).mutable_list_value();
    for (const std::string& text : texts) {
      list->add_values()->set_string_value(text);
    }
    return *this;
  }

  const google::protobuf::Struct& message() const { return fields_; }

 private:
  google::protobuf::Value& Field(absl::string_view name) {
    return (*fields_.mutable_fields())[std::string(name)];
  }

  google::protobuf::Struct fields_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_JSON_OBJECT_H_
