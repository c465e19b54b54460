// Variables of a script, and the strings that use them.
//
// In a string, ${NAME} stands for the value of NAME, and $${ for ${ itself; any
// other $ is a dollar.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_SCRIPT_VARIABLES_H_
#define SIMVISOR_CLIENT_SCRIPT_VARIABLES_H_

#include <map>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace simvisor::client {

// Values by name, in the form of field_path.h.
using Variables = std::map<std::string, std::string>;

inline constexpr size_t kMaxVariableName = 64;

// Whether `name` may name a variable: a letter or '_', then letters, digits and
// '_', at most kMaxVariableName.
bool IsVariableName(absl::string_view name);

// Adds the variables that the strings of `message` use to `names`.
// INVALID_ARGUMENT for a ${ that does not begin ${NAME}.
absl::Status FindVariables(const google::protobuf::Message& message,
                           std::set<std::string>& names);

// Replaces the variables in the strings of `message`.
// REQUIRES: FindVariables() accepts `message`, and `variables` has them all.
void ExpandVariables(const Variables& variables,
                     google::protobuf::Message& message);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SCRIPT_VARIABLES_H_
