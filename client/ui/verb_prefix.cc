#include "client/ui/verb_prefix.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/ui/exit_code.h"

namespace simvisor::client {
namespace {

std::vector<const CLI::App*> VerbsOf(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

// The verb of `level` that `word` stands for.
absl::StatusOr<const CLI::App*> FindVerb(const CLI::App& level,
                                         const std::string& word) {
  std::vector<std::string> names;
  const CLI::App* found = nullptr;
  for (const CLI::App* verb : VerbsOf(level)) {
    if (verb->get_name() == word) return verb;
    if (!absl::StartsWith(verb->get_name(), word)) continue;
    found = verb;
    names.push_back(verb->get_name());
  }
  if (names.size() == 1) return found;
  if (names.empty()) {
    for (const CLI::App* verb : VerbsOf(level)) {
      names.push_back(verb->get_name());
    }
    return UsageError(absl::StrCat(
        level.get_name(), ": no command is named '", word, "'; there are ",
        absl::StrJoin(names, ", "), "; --help tells more"));
  }
  return UsageError(absl::StrCat(level.get_name(), ": '", word, "' may be ",
                                 absl::StrJoin(names, " or ")));
}

// True for options of the program that take the next word as their value.
bool TakesNextWord(const CLI::App& app, const std::string& word) {
  const CLI::Option* option = app.get_option_no_throw(word);
  return option != nullptr && option->get_items_expected_max() > 0;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ExpandVerbs(
    const CLI::App& app, std::vector<std::string> arguments) {
  const CLI::App* level = &app;
  for (size_t i = 0; i < arguments.size() && !VerbsOf(*level).empty(); ++i) {
    std::string& word = arguments[i];
    if (absl::StartsWith(word, "-")) {
      if (TakesNextWord(app, word)) ++i;
      continue;
    }
    auto verb = FindVerb(*level, word);
    if (!verb.ok()) return verb.status();
    word = (*verb)->get_name();
    level = *verb;
  }
  return arguments;
}

}  // namespace simvisor::client
