// JSON as the commands print it.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_UI_JSON_H_
#define SIMVISOR_CLIENT_UI_JSON_H_

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message.h"

namespace simvisor::client {

// An object keeps the order of its fields.
using Json = nlohmann::ordered_json;

// `message`, of the API, in protobuf's JSON form, but with the names of the
// .proto files, with defaults, and with numbers of 64 bits as numbers (some
// readers round them above 2^53).  INTERNAL if protobuf cannot print it.
absl::StatusOr<Json> ToJson(const google::protobuf::Message& message);

// {"code", "reason", "message", "metadata"}: the canonical code's name,
// AnyReasonOf(), and the daemon's metadata, which is empty for the client's own
// errors.
// REQUIRES: !status.ok()
Json ToJson(const absl::Status& status);

// ASCII, as other characters are escaped, so any terminal can show it; U+FFFD
// stands for bytes that are not UTF-8.  Over several lines, or on one; no
// newline at the end.
std::string Lines(const Json& json);
std::string OneLine(const Json& json);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_JSON_H_
