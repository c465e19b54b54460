// A script (simvisor/v1/script.proto) read from protobuf's text format.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_SCRIPT_SCRIPT_FILE_H_
#define SIMVISOR_CLIENT_SCRIPT_SCRIPT_FILE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/text_format.h"
#include "simvisor/v1/script.pb.h"

namespace simvisor::client {

// Scripts are written by hand; anything larger is some other kind of file.
inline constexpr size_t kMaxScriptBytes = 4 << 20;

struct ScriptFile {
  v1::Script script;
  // The fields that the text names, and where: tells an explicit 0 from a
  // missing field.
  std::unique_ptr<google::protobuf::TextFormat::ParseInfoTree> locations;
};

// Parses `text`, the contents of `file_name`.
//
// INVALID_ARGUMENT with a FILE:LINE:COLUMN line for each error: bad syntax, a
// script without steps, a step without a call, a step that expects both a
// response and a failure, a code that does not exist, a poll out of bounds, a
// field that the messages do not have, or a variable that no earlier step saves
// or whose type does not fit.
absl::StatusOr<ScriptFile> ParseScript(absl::string_view file_name,
                                       absl::string_view text);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SCRIPT_SCRIPT_FILE_H_
