#include "client/ui/command_line.h"

#include <algorithm>
#include <cassert>
#include <sstream>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/ui/exit_code.h"
#include "client/ui/similar_word.h"

namespace simvisor::client {
namespace {

// CLI11 makes 2^64 - 1 of -1.
std::string CheckSign(const std::string& number) {
  return number.find('-') == std::string::npos
             ? ""
             : absl::StrCat(number, " is negative");
}

// What CLI11 calls a value: a type, and after colons what checks say of it.  A
// list of choices is {a,b}.
struct ValueType {
  std::string name;
  std::vector<std::string> choices;
};

ValueType TypeOf(const CLI::Option& option) {
  std::vector<std::string> parts = absl::StrSplit(option.get_type_name(), ':');
  ValueType type = {.name = parts.front(), .choices = {}};
  const std::string& last = parts.back();
  if (parts.size() > 1 && absl::StartsWith(last, "{") &&
      absl::EndsWith(last, "}")) {
    type.choices = absl::StrSplit(last.substr(1, last.size() - 2), ',');
  }
  return type;
}

ArgumentHelp HelpOf(const CLI::Option& option) {
  ArgumentHelp help;
  help.positional = !option.nonpositional();
  help.names = absl::StrSplit(option.get_name(help.positional, true), ',');
  help.required = option.get_required();
  help.repeated = option.get_items_expected_max() > 1;
  help.text = option.get_description();
  ValueType type = TypeOf(option);
  help.choices = std::move(type.choices);
  if (!help.positional && option.get_items_expected_max() > 0) {
    help.value = std::move(type.name);
  }
  return help;
}

// The last verb of the line that `app` has parsed.
const CLI::App& LastVerb(const CLI::App& app) {
  const CLI::App* verb = &app;
  while (!verb->get_subcommands().empty()) {
    verb = verb->get_subcommands().front();
  }
  return *verb;
}

// "--NAME" if `verb` has this option; empty otherwise.
std::string OptionNamed(const CLI::App& verb, const std::string& name) {
  std::string option = absl::StrCat("--", name);
  return verb.get_option_no_throw(option) == nullptr ? "" : option;
}

// The option of `verb`, or of those above it, that `word` misspells; empty if
// there is none.
std::string SimilarOption(const CLI::App& verb, const std::string& word) {
  std::vector<std::string> all;
  for (const CLI::App* app = &verb; app != nullptr; app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        all.push_back(absl::StrCat("--", name));
      }
    }
  }
  return FindSimilar(word.substr(0, word.find('=')), all);
}

// The positional argument of `verb` that got one word which names an option,
// such as the "stop" of "guest load stop web"; null if there is none.
const CLI::Option* TakenForArgument(const CLI::App& verb) {
  for (const CLI::Option* option : verb.get_options()) {
    if (!option->nonpositional() && option->results().size() == 1 &&
        !OptionNamed(verb, option->results().front()).empty()) {
      return option;
    }
  }
  return nullptr;
}

// What a line may have meant that has `extra`, which `verb` does not take:
// "; did you mean --stop?".  Empty if nothing comes close.
std::string ExtraMeant(const CLI::App& verb, const std::string& command,
                       const std::string& extra) {
  const std::string option = absl::StartsWith(extra, "--")
                                 ? SimilarOption(verb, extra)
                                 : OptionNamed(verb, extra);
  if (!option.empty()) return absl::StrCat("; did you mean ", option, "?");
  const CLI::Option* const taken = TakenForArgument(verb);
  if (taken == nullptr) return "";
  const std::string& word = taken->results().front();
  return absl::StrCat("; ", word, " is taken for ",
                      taken->get_name(/*positional=*/true), ": did you mean '",
                      command, " ", extra, " --", word, "'?");
}

// The error about a line that has `extras`, which `verb` does not take.
std::string NotExpected(const CLI::App& verb, const std::string& command,
                        const std::vector<std::string>& extras) {
  // The value of an unknown option follows it.
  const bool may_be_meant =
      extras.size() == 1 || absl::StartsWith(extras.front(), "--");
  return absl::StrCat(
      extras.size() == 1 ? "The following argument was not expected: "
                         : "The following arguments were not expected: ",
      absl::StrJoin(extras, " "),
      may_be_meant ? ExtraMeant(verb, command, extras.front()) : "");
}

}  // namespace

Argument& Argument::Required() {
  option_->required();
  return *this;
}

Argument& Argument::Values(int least, int most) {
  option_->expected(least, most);
  return *this;
}

Argument& Argument::OneOf(const std::vector<std::string>& names) {
  option_->check(CLI::IsMember(names));
  return *this;
}

Argument& Argument::Between(int least, int most) {
  option_->check(CLI::Range(least, most));
  return *this;
}

Argument& Argument::Between(double least, double most) {
  option_->check(CLI::Range(least, most));
  return *this;
}

Argument& Argument::Excludes(Argument other) {
  assert(other != *this);
  option_->excludes(other.option_);
  return *this;
}

Argument& Argument::Needs(Argument other) {
  assert(other != *this);
  option_->needs(other.option_);
  return *this;
}

Argument& Argument::ValueName(const std::string& name) {
  option_->type_name(name);
  return *this;
}

Argument& Argument::ShowDefault() {
  option_->capture_default_str();
  return *this;
}

Verb Verb::AddVerb(const std::string& name, const std::string& help) {
  return Verb(app_->add_subcommand(name, help));
}

Verb Verb::AddGroup(const std::string& name, const std::string& help) {
  Verb group = AddVerb(name, help);
  group.app_->require_subcommand(1);
  return group;
}

void Verb::InheritOptions() { app_->fallthrough(); }

Argument Verb::AddPositional(const std::string& name, std::string& value,
                             const std::string& help) {
  return Argument(app_->add_option(name, value, help));
}

Argument Verb::AddPositional(const std::string& name, uint32_t& value,
                             const std::string& help) {
  return Argument(app_->add_option(name, value, help));
}

Argument Verb::AddPositional(const std::string& name,
                             std::vector<std::string>& values,
                             const std::string& help) {
  return Argument(app_->add_option(name, values, help));
}

Argument Verb::AddOption(const std::string& names, std::string& value,
                         const std::string& help) {
  return Argument(app_->add_option(names, value, help));
}

Argument Verb::AddOption(const std::string& names, int& value,
                         const std::string& help) {
  return Argument(app_->add_option(names, value, help));
}

Argument Verb::AddOption(const std::string& names, uint32_t& value,
                         const std::string& help) {
  return Argument(app_->add_option(names, value, help));
}

Argument Verb::AddOption(const std::string& names, uint64_t& value,
                         const std::string& help) {
  return Argument(app_->add_option(names, value, help)->check(&CheckSign));
}

Argument Verb::AddOption(const std::string& names,
                         std::optional<uint64_t>& value,
                         const std::string& help) {
  return Argument(app_->add_option(names, value, help)->check(&CheckSign));
}

Argument Verb::AddOption(const std::string& names, double& value,
                         const std::string& help) {
  return Argument(app_->add_option(names, value, help));
}

Argument Verb::AddFlag(const std::string& names, bool& value,
                       const std::string& help) {
  return Argument(app_->add_flag(names, value, help));
}

Argument Verb::AddIgnored(const std::string& names, const std::string& help) {
  return Argument(app_->add_flag(names, help));
}

Argument Verb::AddIgnoredOption(const std::string& names,
                                const std::string& help) {
  return Argument(app_->add_option(names, help)
                      ->expected(1)
                      ->type_name("TEXT")
                      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast));
}

void Verb::SetFooter(const std::string& text) { app_->footer(text); }

void Verb::OnChosen(std::function<void()> chosen) {
  app_->callback(std::move(chosen));
}

std::string Verb::Help() const {
  // App::help() would explain the verb of the line that was parsed.
  return app_->get_formatter()->make_help(app_, app_->get_name(),
                                          CLI::AppFormatMode::Normal);
}

std::string Verb::name() const { return app_->get_name(); }

std::vector<Verb> Verb::verbs() const {
  std::vector<Verb> verbs;
  for (CLI::App* app : app_->get_subcommands({})) verbs.push_back(Verb(app));
  return verbs;
}

bool Verb::HasOption(const std::string& word) const {
  const bool is_long = word.rfind("--", 0) == 0;
  const size_t end = is_long ? word.find('=') : 2;
  return app_->get_option_no_throw(word.substr(0, end)) != nullptr;
}

std::string Verb::help() const { return app_->get_description(); }

std::string Verb::footer() const { return app_->get_footer(); }

std::vector<ArgumentHelp> Verb::arguments() const {
  std::vector<ArgumentHelp> arguments;
  for (const CLI::Option* option : std::as_const(*app_).get_options(
           [](const CLI::Option* any) { return !any->get_group().empty(); })) {
    arguments.push_back(HelpOf(*option));
  }
  return arguments;
}

bool Verb::TakesNextWord(const std::string& word) const {
  const CLI::Option* option = app_->get_option_no_throw(word);
  return option != nullptr && option->get_items_expected_max() > 0;
}

CommandLine::CommandLine(const std::string& name,
                         const std::string& description)
    : app_(std::make_unique<CLI::App>(description, name)) {
  app_->require_subcommand(1);
}

CommandLine::~CommandLine() = default;

Verb CommandLine::program() const { return Verb(app_.get()); }

void CommandLine::SetVersion(const std::string& names,
                             const std::string& text) {
  app_->set_version_flag(names, text);
}

void CommandLine::RemoveHelp() { app_->set_help_flag(); }

absl::StatusOr<std::string> CommandLine::Parse(std::vector<std::string> words) {
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app_->parse(std::move(words));
  } catch (const CLI::ExtrasError&) {
    const std::string command =
        absl::StrCat(app_->get_name(), " ", chosen_verbs());
    return UsageError(NotExpected(LastVerb(*app_), command,
                                  app_->remaining(/*recurse=*/true)));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::Success)) {
      return UsageError(error.what());
    }
    std::ostringstream text;
    app_->exit(error, text, text);
    return text.str();
  }
  return std::string();
}

std::string CommandLine::chosen_verbs() const {
  std::string verbs;
  for (const CLI::App* app = app_.get(); !app->get_subcommands().empty();) {
    app = app->get_subcommands().front();
    absl::StrAppend(&verbs, verbs.empty() ? "" : " ", app->get_name());
  }
  return verbs;
}

std::string CommandLine::ValueOf(const std::string& name) const {
  const CLI::Option* const option = LastVerb(*app_).get_option_no_throw(name);
  return option != nullptr && option->results().size() == 1
             ? option->results().front()
             : "";
}

std::vector<std::string> SplitWords(const std::string& line) {
  return CLI::detail::split_up(line);
}

}  // namespace simvisor::client
