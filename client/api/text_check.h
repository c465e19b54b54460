// Finds text that a message cannot carry: protobuf's strings are UTF-8.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_API_TEXT_CHECK_H_
#define SIMVISOR_CLIENT_API_TEXT_CHECK_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace simvisor::client {

// INVALID_ARGUMENT if `text` is not UTF-8: "<what> "latin\xef": byte 0xef at
// offset 5 is not UTF-8; ...".  If the text is long, the message quotes only
// the part with that byte.
absl::Status CheckUtf8(absl::string_view what, absl::string_view text);

// The same for all strings of `message`; `what` is the path of the field.
absl::Status CheckStrings(const google::protobuf::Message& message);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_TEXT_CHECK_H_
