#include "client/ui/verb_prefix.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "client/ui/exit_code.h"

namespace simvisor::client {
namespace {

// The verb of `level` that `word` stands for.
absl::StatusOr<Verb> FindVerb(const Verb& level, const std::string& word) {
  std::vector<std::string> all;
  std::vector<Verb> found;
  for (const Verb& verb : level.verbs()) {
    if (verb.name() == word) return verb;
    if (absl::StartsWith(verb.name(), word)) found.push_back(verb);
    all.push_back(verb.name());
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return UsageError(absl::StrCat(level.name(), ": no command is named '",
                                   word, "'; commands are ",
                                   absl::StrJoin(all, ", "), "; see --help"));
  }
  const auto append_name = [](std::string* text, const Verb& verb) {
    absl::StrAppend(text, verb.name());
  };
  return UsageError(absl::StrCat(level.name(), ": '", word, "' may be ",
                                 absl::StrJoin(found, " or ", append_name)));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ExpandVerbs(
    const Verb& program, std::vector<std::string> arguments) {
  Verb level = program;
  for (size_t i = 0; i < arguments.size() && !level.verbs().empty(); ++i) {
    std::string& word = arguments[i];
    if (absl::StartsWith(word, "-")) {
      if (program.TakesNextWord(word)) ++i;
      continue;
    }
    SIMVISOR_ASSIGN_OR_RETURN(level, FindVerb(level, word));
    word = level.name();
  }
  return arguments;
}

}  // namespace simvisor::client
