// Completion of simvisor's command lines in zsh.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_PAGES_ZSH_COMPLETION_H_
#define SIMVISOR_PAGES_ZSH_COMPLETION_H_

#include <string>

#include "client/ui/command_line.h"

namespace simvisor::pages {

// An autoloaded function, for a file _simvisor in zsh's fpath, that completes
// what BashCompletion() does, after verbs that are spelt out, and shows what
// help says.
std::string ZshCompletion(const client::Verb& program);

}  // namespace simvisor::pages

#endif  // SIMVISOR_PAGES_ZSH_COMPLETION_H_
