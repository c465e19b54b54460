// A scalar field inside a message, found by a path such as "domain.domid" or
// "runs[0].count".
//
// Names are joined by dots; an index, from 0, follows the name of a list.
// Values are text: decimal numbers, true and false, names of enum values, and
// strings and bytes as they are.
//
// Thread safety: immutable.

#ifndef SIMVISOR_CLIENT_SCRIPT_FIELD_PATH_H_
#define SIMVISOR_CLIENT_SCRIPT_FIELD_PATH_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace simvisor::client {

enum class ValueKind { kInteger, kReal, kBool, kEnum, kString, kBytes };

// What a field can hold.  Integers of any size are one type, so that a number
// of one message can go into another.
struct ValueType {
  ValueKind kind = ValueKind::kInteger;
  const google::protobuf::EnumDescriptor* enumeration = nullptr;  // of kEnum

  friend bool operator==(const ValueType&, const ValueType&) = default;
};

// "an integer", "a simvisor.v1.DomainState", ...
std::string NameOf(const ValueType& type);

class FieldPath {
 public:
  // INVALID_ARGUMENT if `text` does not lead to a scalar in messages of `type`.
  static absl::StatusOr<FieldPath> Parse(
      const google::protobuf::Descriptor& type, absl::string_view text);

  const std::string& text() const { return text_; }
  ValueType type() const;

  // The value in `message`.  NOT_FOUND if it lacks the field: an element past
  // the end of its list, or a message or an optional field that is not set.
  // REQUIRES: `message` is of the type that was given to Parse().
  absl::StatusOr<std::string> Read(
      const google::protobuf::Message& message) const;

  // `value` as text format writes it: strings and bytes in quotes and escaped.
  std::string Show(const std::string& value) const;

  // Sets the field in `message`, with the messages around it.  May have set
  // some of those if it fails: OUT_OF_RANGE if `value` does not fit the field,
  // NOT_FOUND for an element past the end of its list, FAILED_PRECONDITION if
  // another field of the same oneof is set.
  // REQUIRES: as Read()
  absl::Status Write(const std::string& value,
                     google::protobuf::Message& message) const;

  // Like Write() with any value that fits; finds the errors that do not depend
  // on the value.
  absl::Status TryWrite(google::protobuf::Message& message) const;

 private:
  struct Part {
    const google::protobuf::FieldDescriptor* field;
    int index;  // -1 if the field is not a list
  };

  static absl::StatusOr<Part> ParsePart(
      const google::protobuf::Descriptor& type, absl::string_view text);

  // Checks that an element or a presence is there.
  absl::Status CheckPresent(const Part& part,
                            const google::protobuf::Message& message) const;
  absl::Status CheckRoom(const Part& part,
                         const google::protobuf::Message& message) const;

  std::string text_;
  std::vector<Part> parts_;  // at least one; only the last is a scalar
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SCRIPT_FIELD_PATH_H_
