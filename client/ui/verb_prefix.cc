#include "client/ui/verb_prefix.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "client/ui/exit_code.h"
#include "client/ui/similar_word.h"
#include "client/xl/absent_verbs.h"

namespace simvisor::client {
namespace {

// `all`: the verbs of `level`, none of which `word` stands for.  `top`: the
// level is not a group's, so the word may be a verb of xl.
absl::Status NoSuchVerb(const Verb& level, bool top, const std::string& word,
                        const std::vector<std::string>& all) {
  const absl::string_view why = top ? WhyAbsent(word) : "";
  if (!why.empty()) {
    return UsageError(
        absl::StrCat(level.name(), ": xl's ", word, " is absent: ", why));
  }
  const std::string meant = FindSimilar(word, all);
  return UsageError(absl::StrCat(
      level.name(), ": no command is named '", word, "'; ",
      meant.empty() ? absl::StrCat("commands are ", absl::StrJoin(all, ", "))
                    : absl::StrCat("did you mean '", meant, "'"),
      meant.empty() ? "; see --help" : "?  See --help"));
}

// The verb of `level` that `word` stands for.
absl::StatusOr<Verb> FindVerb(const Verb& level, bool top,
                              const std::string& word) {
  std::vector<std::string> all;
  std::vector<Verb> found;
  for (const Verb& verb : level.verbs()) {
    if (verb.name() == word) return verb;
    if (absl::StartsWith(verb.name(), word)) found.push_back(verb);
    all.push_back(verb.name());
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) return NoSuchVerb(level, top, word, all);
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
  bool top = true;
  for (size_t i = 0; i < arguments.size() && !level.verbs().empty(); ++i) {
    std::string& word = arguments[i];
    if (absl::StartsWith(word, "-")) {
      if (program.TakesNextWord(word)) ++i;
      continue;
    }
    SIMVISOR_ASSIGN_OR_RETURN(level, FindVerb(level, top, word));
    word = level.name();
    top = false;
  }
  return arguments;
}

}  // namespace simvisor::client
