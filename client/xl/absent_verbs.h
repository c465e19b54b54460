// Verbs of xl that have no meaning here.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_XL_ABSENT_VERBS_H_
#define SIMVISOR_CLIENT_XL_ABSENT_VERBS_H_

#include "absl/strings/string_view.h"

namespace simvisor::client {

// Why `verb`, which is one of xl's, is absent, and what to use instead: the end
// of a sentence such as "xl's uptime is absent: ...".  Empty if xl has no such
// verb, or simvisor has it too.  Knows groups of verbs, such as network-attach
// and its siblings, by how they begin.
absl::string_view WhyAbsent(absl::string_view verb);

// The absent verb that only `word` begins, such as "console" for "cons"; `word`
// itself if it is an absent verb.  Empty if it is or begins none, or begins
// several.
absl::string_view FindAbsent(absl::string_view word);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_XL_ABSENT_VERBS_H_
