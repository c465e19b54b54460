// The verbs of simvisor as pages and completions need them.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_PAGES_PROGRAM_TREE_H_
#define SIMVISOR_PAGES_PROGRAM_TREE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/ui/command_line.h"

namespace simvisor::pages {

// A verb or a group and where it stands.
struct Place {
  client::Verb verb;
  // "p2m foreign map"; empty for the program.
  std::string path;
};

// The program, and every verb and group below it, each before those below it.
std::vector<Place> AllPlaces(const client::Verb& program);

// What may stand for an argument.
enum class ValueKind { kAny, kWords, kFile, kDomain, kAddress };

// Depends on the argument's name or on what its value is called: DOM is a
// domain; FILE, SCRIPT, LOG, "FILE|..." and "... FILE" are files.
ValueKind KindOf(const client::ArgumentHelp& argument);

// What its value is called for people: "text|json", "NAME"; empty for a flag.
std::string ValueText(const client::ArgumentHelp& argument);

// `text` on one line.
std::string OneLine(absl::string_view text);

}  // namespace simvisor::pages

#endif  // SIMVISOR_PAGES_PROGRAM_TREE_H_
