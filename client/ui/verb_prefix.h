// Abbreviated verbs and options, which xl accepts.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_UI_VERB_PREFIX_H_
#define SIMVISOR_CLIENT_UI_VERB_PREFIX_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/ui/command_line.h"

namespace simvisor::client {

// Spells out the verbs of `arguments`: where a verb is expected, a word that is
// not a verb but begins the name of exactly one verb of `program` becomes that
// verb.  The same holds for the verbs of a group.  A UsageError() if the word
// begins no verb's name, or the names of several; it says what may be meant,
// such as a verb that comes after its argument, or why a verb of xl is absent.
// The same for a word before the verbs that is an option but not one of
// `program`.
absl::StatusOr<std::vector<std::string>> ExpandVerbs(
    const Verb& program, std::vector<std::string> arguments);

// Spells out the long options of `arguments`, as far as its verbs are spelt
// out: "--pau" becomes "--paused" if only one option of the verb begins so, or
// if none does, only one of the verbs above it.  A value after an equals sign
// stays.  A UsageError() that names the options if several begin so; an option
// that nothing begins with stays for the parser to refuse.
absl::StatusOr<std::vector<std::string>> ExpandOptions(
    const Verb& program, std::vector<std::string> arguments);

// Where the first verb is in `arguments`, behind options of `program`; the
// number of arguments if it finds none.
size_t FindFirstVerb(const Verb& program,
                     const std::vector<std::string>& arguments);

// Turns "help VERB..." into "VERB... --help"; other lines stay as they are.
std::vector<std::string> ReplaceHelp(const Verb& program,
                                     std::vector<std::string> arguments);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_VERB_PREFIX_H_
