// Completion of simvisor's command lines in shells.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_PAGES_COMPLETION_H_
#define SIMVISOR_PAGES_COMPLETION_H_

#include <string>

#include "absl/strings/string_view.h"
#include "client/ui/command_line.h"

namespace simvisor::pages {

// A script for bash 4.4 or later that completes verbs, also after abbreviated
// groups, options, their words, files, and domains, which the program lists.
std::string BashCompletion(const client::Verb& program);

// An autoloaded function, for a file _simvisor in zsh's fpath, that completes
// what BashCompletion() does, after verbs that are spelt out, and shows what
// help says.
std::string ZshCompletion(const client::Verb& program);

// `script` with what is the same in all shells: HEADING becomes the comments
// that say what the script is, LISTED what extracts the names of domains from
// the output of the verb list, and NAME the program's name.
std::string FillIn(absl::string_view script, absl::string_view shell,
                   const client::Verb& program);

}  // namespace simvisor::pages

#endif  // SIMVISOR_PAGES_COMPLETION_H_
