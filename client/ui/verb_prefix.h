// Abbreviated verbs, which xl accepts.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_UI_VERB_PREFIX_H_
#define SIMVISOR_CLIENT_UI_VERB_PREFIX_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/ui/command_line.h"

namespace simvisor::client {

// `arguments` with verbs spelt out: a word at a verb's place that begins the
// name of exactly one verb of `program`, and is no verb itself, becomes that
// verb; the same goes for the verbs of a group after it.  A UsageError() for a
// word that begins no verb's name, or the names of several.
absl::StatusOr<std::vector<std::string>> ExpandVerbs(
    const Verb& program, std::vector<std::string> arguments);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_VERB_PREFIX_H_
