// xl's own options, which it takes before the verb.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_UI_XL_OPTIONS_H_
#define SIMVISOR_CLIENT_UI_XL_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/ui/command_line.h"

namespace simvisor::client {

// `arguments` with their verbs spelt out, see ExpandVerbs(), and without xl's
// -v, -f, -t, -T and -N before the verb, joined as in -vN or not.  The first
// four have no effect; -N, a dry run, becomes --dryrun behind the verb.  A
// UsageError() as for ExpandVerbs(), and for -N before a verb without --dryrun.
absl::StatusOr<std::vector<std::string>> ReplaceXlOptions(
    const Verb& program, const std::vector<std::string>& arguments);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_XL_OPTIONS_H_
