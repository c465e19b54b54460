#include "client/ui/line_errors.h"

#include <algorithm>

#include "CLI/CLI.hpp"
#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/ui/similar_word.h"

namespace simvisor::client {
namespace {

std::vector<std::string> NamesBelow(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* below : app.get_subcommands([](auto) { return true; })) {
    names.push_back(below->get_name());
  }
  return names;
}

bool IsOption(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && !absl::ascii_isdigit(word[1]);
}

std::string ExplainOption(const std::vector<const CLI::App*>& verbs,
                          const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  std::vector<std::string> names;
  for (auto app = verbs.rbegin(); app != verbs.rend(); ++app) {
    for (const CLI::Option* option : (*app)->get_options()) {
      for (const std::string& known : option->get_lnames()) {
        names.push_back("--" + known);
      }
    }
  }
  const std::string meant = FindSimilar(name, names);
  return absl::StrCat(
      "no option is named '", name, "'",
      meant.empty() ? "" : absl::StrCat("; did you mean '", meant, "'?"));
}

// "--NAME" if `verb` has this option; empty otherwise.
std::string OptionNamed(const CLI::App& verb, const std::string& name) {
  std::string option = absl::StrCat("--", name);
  return verb.get_option_no_throw(option) == nullptr ? "" : option;
}

// The positional argument of `verb` that got one word which names an option,
// such as the "stop" of "guest load stop web"; null if no argument did.
const CLI::Option* TakenForArgument(const CLI::App& verb) {
  for (const CLI::Option* option : verb.get_options()) {
    if (!option->nonpositional() && option->results().size() == 1 &&
        !OptionNamed(verb, option->results().front()).empty()) {
      return option;
    }
  }
  return nullptr;
}

// What a line may have meant that has one word more, `extra`, than `verb`
// takes: "; did you mean --stop?".  Empty if nothing comes close.
std::string WordMeant(const CLI::App& verb, const std::string& command,
                      const std::string& extra) {
  const std::string option = OptionNamed(verb, extra);
  if (!option.empty()) return absl::StrCat("; did you mean ", option, "?");
  const CLI::Option* const taken = TakenForArgument(verb);
  if (taken == nullptr) return "";
  const std::string& word = taken->results().front();
  return absl::StrCat("; '", word, "' is taken for ",
                      taken->get_name(/*positional=*/true), ": did you mean '",
                      command, " ", extra, " --", word, "'?");
}

// Why a line with the verbs `verbs` cannot have the words `extras`, of which
// CLI11's have "--" as well.  No word of `plain` is an option.
std::string ExplainExtras(const std::vector<const CLI::App*>& verbs,
                          std::vector<std::string> extras,
                          const std::vector<std::string>& plain) {
  extras.erase(std::remove(extras.begin(), extras.end(), "--"), extras.end());
  const auto option =
      std::find_if(extras.begin(), extras.end(), [&](const std::string& word) {
        return IsOption(word) && !absl::c_linear_search(plain, word);
      });
  if (option != extras.end()) return ExplainOption(verbs, *option);
  std::vector<std::string> places;
  for (const CLI::Option* place : verbs.back()->get_options(
           [](const CLI::Option* any) { return any->get_positional(); })) {
    places.push_back(place->get_name(/*positional=*/true));
  }
  const auto append_name = [](std::string* text, const CLI::App* app) {
    absl::StrAppend(text, app->get_name());
  };
  return absl::StrCat(
      "too many arguments: '", absl::StrJoin(extras, "' '"), "'; ",
      places.empty() ? "it takes only options"
                     : absl::StrCat("it takes ", absl::StrJoin(places, " ")),
      extras.size() == 1
          ? WordMeant(*verbs.back(), absl::StrJoin(verbs, " ", append_name),
                      extras.front())
          : "");
}

}  // namespace

std::string ExplainLine(const CLI::ParseError& error,
                        const std::vector<const CLI::App*>& verbs,
                        const std::vector<std::string>& plain) {
  const std::string text = error.what();
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    return ExplainExtras(verbs, verbs.front()->remaining(/*recurse=*/true),
                         plain);
  }
  const std::string name = text.substr(0, text.find(':'));
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    if (absl::EndsWith(text, " missing")) return name + " needs a value";
    // "NAME: At Most 2 required but received 3"
    const std::vector<std::string> words = absl::StrSplit(
        absl::StripAsciiWhitespace(text.substr(name.size())), ' ');
    if (words.size() == 8 && absl::EqualsIgnoreCase(words[2], "most")) {
      return words[3] == "1" ? name + " is given more than once"
                             : absl::StrCat(name, " takes at most ", words[3],
                                            " arguments, not ", words[7]);
    }
  }
  // All values but those of flags are checked before.
  if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
    const std::vector<std::string> parts =
        absl::StrSplit(absl::StripPrefix(text, "Could not convert: "),
                       absl::MaxSplits(" = ", 1));
    if (parts.size() == 2) {
      return absl::StrCat(parts[0], " takes no value, and has '", parts[1],
                          "'");
    }
  }
  if (absl::StartsWith(text, "A subcommand ")) {
    return absl::StrCat("a command is required, one of ",
                        absl::StrJoin(NamesBelow(*verbs.back()), ", "));
  }
  return text;
}

}  // namespace simvisor::client
