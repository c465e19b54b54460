#include "pages/program_tree.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace simvisor::pages {
namespace {

using client::ArgumentHelp;
using client::Verb;

void Append(const Verb& verb, const std::string& path,
            std::vector<Place>& places) {
  places.push_back({verb, path});
  for (const Verb& below : verb.verbs()) {
    Append(below, absl::StrCat(path, path.empty() ? "" : " ", below.name()),
           places);
  }
}

// A file is called FILE, SCRIPT or LOG; where something else may stand too, the
// name is such as "FILE|KEY=VALUE" or "[CONFIG] FILE".
bool NamesFile(absl::string_view what) {
  return what == "FILE" || what == "SCRIPT" || what == "LOG" ||
         absl::StartsWith(what, "FILE|") || absl::EndsWith(what, " FILE");
}

bool HasName(const ArgumentHelp& argument, absl::string_view name) {
  return std::find(argument.names.begin(), argument.names.end(), name) !=
         argument.names.end();
}

}  // namespace

std::vector<Place> AllPlaces(const Verb& program) {
  std::vector<Place> places;
  Append(program, "", places);
  return places;
}

ValueKind KindOf(const ArgumentHelp& argument) {
  if (!argument.choices.empty()) return ValueKind::kWords;
  const std::string& what =
      argument.positional ? argument.names.front() : argument.value;
  if (NamesFile(what)) return ValueKind::kFile;
  if (what == "DOM" || HasName(argument, "--domain")) return ValueKind::kDomain;
  if (HasName(argument, "--address")) return ValueKind::kAddress;
  return ValueKind::kAny;
}

std::string ValueText(const ArgumentHelp& argument) {
  if (!argument.choices.empty()) return absl::StrJoin(argument.choices, "|");
  return argument.value;
}

std::string OneLine(absl::string_view text) {
  return absl::StrJoin(
      absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty()), " ");
}

}  // namespace simvisor::pages
