// Completion of simvisor's command lines in bash.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_PAGES_BASH_COMPLETION_H_
#define SIMVISOR_PAGES_BASH_COMPLETION_H_

#include <string>

#include "client/ui/command_line.h"

namespace simvisor::pages {

// A script for bash 4.4 or later that completes verbs, also after abbreviated
// groups, options, their words, files, and domains, which the program lists.
std::string BashCompletion(const client::Verb& program);

}  // namespace simvisor::pages

#endif  // SIMVISOR_PAGES_BASH_COMPLETION_H_
