#include "client/ui/verb_prefix.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "client/ui/exit_code.h"
#include "client/ui/similar_word.h"
#include "client/xl/absent_verbs.h"

namespace simvisor::client {
namespace {

bool HasVerb(const Verb& level, const std::string& word) {
  const std::vector<Verb> verbs = level.verbs();
  return std::any_of(verbs.begin(), verbs.end(),
                     [&](const Verb& verb) { return verb.name() == word; });
}

// `arguments` from the first verb on, with the word at `at` behind the verbs of
// `level` that follow it: "balloon down web 8m" for "balloon web down 8m".
// Empty if none follows.
std::string VerbsFirst(const Verb& program, Verb level,
                       const std::vector<std::string>& arguments, size_t at) {
  std::vector<std::string> words(
      arguments.begin() +
          static_cast<ptrdiff_t>(FindFirstVerb(program, arguments)),
      arguments.begin() + static_cast<ptrdiff_t>(at));
  size_t next = at + 1;
  for (; next < arguments.size() && HasVerb(level, arguments[next]); ++next) {
    for (const Verb& verb : level.verbs()) {
      if (verb.name() != arguments[next]) continue;
      level = verb;
      break;
    }
    words.push_back(arguments[next]);
  }
  if (next == at + 1) return "";
  words.push_back(arguments[at]);
  words.insert(words.end(), arguments.begin() + static_cast<ptrdiff_t>(next),
               arguments.end());
  return absl::StrJoin(words, " ");
}

// What the word at `at` may have been meant as, which names no verb of `level`.
// `all`: the names of these verbs.
std::string VerbMeant(const Verb& program, const Verb& level,
                      const std::vector<std::string>& arguments, size_t at,
                      const std::vector<std::string>& all) {
  const std::string similar = FindSimilar(arguments[at], all);
  if (!similar.empty()) {
    return absl::StrCat("did you mean '", similar, "'?  See --help");
  }
  const std::string line = VerbsFirst(program, level, arguments, at);
  if (!line.empty()) {
    return absl::StrCat("the command comes first: '", line, "'");
  }
  return absl::StrCat("commands are ", absl::StrJoin(all, ", "),
                      "; see --help");
}

// `all`: the verbs of `level`, none of which the word at `at` stands for.
absl::Status NoSuchVerb(const Verb& program, const Verb& level,
                        const std::vector<std::string>& arguments, size_t at,
                        const std::vector<std::string>& all) {
  const std::string& word = arguments[at];
  if (const absl::string_view absent = FindAbsent(word); !absent.empty()) {
    return UsageError(
        absl::StrCat("xl's ", absent, " is absent: ", WhyAbsent(absent)));
  }
  if (HasVerb(program, word)) {
    return UsageError(absl::StrCat("'", word, "' is not a command of ",
                                   level.name(), "; run '", program.name(), " ",
                                   word, "'"));
  }
  const bool in_group = level.name() != program.name();
  return UsageError(absl::StrCat(
      "no command ", in_group ? absl::StrCat("of ", level.name(), " ") : "",
      "is named '", ShortWord(word), "'; ",
      VerbMeant(program, level, arguments, at, all)));
}

// The verb of `level` that the word at `at` stands for.
absl::StatusOr<Verb> FindVerb(const Verb& program, const Verb& level,
                              const std::vector<std::string>& arguments,
                              size_t at) {
  const std::string& word = arguments[at];
  std::vector<std::string> all;
  std::vector<Verb> found;
  for (const Verb& verb : level.verbs()) {
    if (verb.name() == word) return verb;
    if (absl::StartsWith(verb.name(), word)) found.push_back(verb);
    all.push_back(verb.name());
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) return NoSuchVerb(program, level, arguments, at, all);
  const std::string group =
      level.name() == program.name() ? "" : absl::StrCat(level.name(), " ");
  const auto append_name = [&](std::string* text, const Verb& verb) {
    absl::StrAppend(text, group, verb.name());
  };
  return UsageError(absl::StrCat("'", word, "' may be ",
                                 absl::StrJoin(found, " or ", append_name)));
}

// The long options of `verb` that `begin` stands for: the one that is named so,
// or one name of each that begins so.
std::vector<std::string> FindOptions(const Verb& verb,
                                     absl::string_view begin) {
  std::vector<std::string> found;
  for (const ArgumentHelp& argument : verb.arguments()) {
    const auto& names = argument.names;
    if (std::find(names.begin(), names.end(), begin) != names.end()) {
      return {std::string(begin)};
    }
    const auto name =
        std::find_if(names.begin(), names.end(), [&](absl::string_view any) {
          return absl::StartsWith(any, "--") && absl::StartsWith(any, begin);
        });
    if (name != names.end()) found.push_back(*name);
  }
  return found;
}

// The long option `word` of the last of `verbs`, each of which is below the one
// before it.
absl::StatusOr<std::string> SpellOut(const std::vector<Verb>& verbs,
                                     const std::string& word) {
  const std::string begin = word.substr(0, word.find('='));
  if (std::any_of(verbs.begin(), verbs.end(),
                  [&](const Verb& verb) { return verb.HasOption(begin); })) {
    return word;
  }
  for (auto verb = verbs.rbegin(); verb != verbs.rend(); ++verb) {
    const std::vector<std::string> found = FindOptions(*verb, begin);
    if (found.size() > 1) {
      return UsageError(
          absl::StrCat("'", begin, "' may be ", absl::StrJoin(found, " or ")));
    }
    if (!found.empty()) {
      return absl::StrCat(found.front(), word.substr(begin.size()));
    }
  }
  return word;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ExpandOptions(
    const Verb& program, std::vector<std::string> arguments) {
  std::vector<Verb> verbs = {program};
  for (size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    std::string& word = arguments[i];
    if (absl::StartsWith(word, "--")) {
      SIMVISOR_ASSIGN_OR_RETURN(word, SpellOut(verbs, word));
    }
    if (absl::StartsWith(word, "-")) {
      if (std::any_of(verbs.begin(), verbs.end(), [&](const Verb& verb) {
            return verb.TakesNextWord(word);
          })) {
        ++i;
      }
      continue;
    }
    const std::vector<Verb> below = verbs.back().verbs();
    if (below.empty()) continue;
    const auto verb =
        std::find_if(below.begin(), below.end(),
                     [&](const Verb& any) { return any.name() == word; });
    if (verb == below.end()) break;  // abbreviated, or wrong
    verbs.push_back(*verb);
  }
  return arguments;
}

absl::StatusOr<std::vector<std::string>> ExpandVerbs(
    const Verb& program, std::vector<std::string> arguments) {
  Verb level = program;
  for (size_t i = 0; i < arguments.size() && !level.verbs().empty(); ++i) {
    std::string& word = arguments[i];
    if (absl::StartsWith(word, "-")) {
      if (!program.HasOption(word)) {
        return UsageError(
            absl::StrCat("no option is named '", ShortWord(word),
                         "'; those of a command follow its name; see --help"));
      }
      if (program.TakesNextWord(word)) ++i;
      continue;
    }
    SIMVISOR_ASSIGN_OR_RETURN(level, FindVerb(program, level, arguments, i));
    word = level.name();
  }
  return arguments;
}

size_t FindFirstVerb(const Verb& program,
                     const std::vector<std::string>& arguments) {
  size_t at = 0;
  while (at < arguments.size() && absl::StartsWith(arguments[at], "-")) {
    at += program.TakesNextWord(arguments[at]) ? 2 : 1;
  }
  return std::min(at, arguments.size());
}

std::vector<std::string> ReplaceHelp(const Verb& program,
                                     std::vector<std::string> arguments) {
  const size_t at = FindFirstVerb(program, arguments);
  if (at + 1 >= arguments.size() || arguments[at] != "help" ||
      absl::StartsWith(arguments[at + 1], "-")) {
    return arguments;
  }
  arguments.erase(arguments.begin() + static_cast<ptrdiff_t>(at));
  arguments.push_back("--help");
  return arguments;
}

}  // namespace simvisor::client
