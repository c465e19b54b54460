#include "client/ui/command_line.h"

#include <algorithm>
#include <cassert>
#include <climits>
#include <cstdint>
#include <sstream>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/ui/exit_code.h"
#include "client/ui/line_errors.h"
#include "client/ui/quantities.h"

namespace simvisor::client {
namespace {

// Checks a value that must be a whole number, and writes it in decimal: CLI11
// makes 2^64 - 1 of -1, and 8 of 010.
CLI::Validator WholeNumber(uint64_t most) {
  return CLI::Validator(
      [most](std::string& text) -> std::string {
        const auto number = ParseNumber("", text);
        if (number.ok() && *number <= most) {
          text = absl::StrCat(*number);
          return "";
        }
        return absl::StrCat(
            "'", text, "': must be a whole number ",
            most == UINT64_MAX ? "below 2^64" : absl::StrCat("up to ", most),
            ", decimal or 0x...");
      },
      "");
}

// Checks a number, and writes it without the blanks around it, which CLI11
// refuses.
CLI::Validator AnyNumber() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        double number = 0;
        if (!absl::SimpleAtod(text, &number)) {
          return absl::StrCat("'", text, "': must be a number");
        }
        text = std::string(absl::StripAsciiWhitespace(text));
        return "";
      },
      "");
}

// Its description is CLI11's, which help shows.
template <typename Number>
CLI::Validator Bounds(Number least, Number most) {
  return CLI::Validator(
      [least, most](std::string& text) -> std::string {
        double number = 0;
        if (absl::SimpleAtod(text, &number) && number >= least &&
            number <= most) {
          return "";
        }
        return absl::StrFormat("'%s': must be %.10g to %.10g", text,
                               static_cast<double>(least),
                               static_cast<double>(most));
      },
      CLI::Range(least, most).get_description());
}

// The same.
CLI::Validator Member(const std::vector<std::string>& names) {
  return CLI::Validator(
      [names](std::string& text) -> std::string {
        return absl::c_linear_search(names, text)
                   ? ""
                   : absl::StrCat("'", text, "': must be one of ",
                                  absl::StrJoin(names, ", "));
      },
      CLI::IsMember(names).get_description());
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
  option_->check(Member(names));
  return *this;
}

Argument& Argument::Between(int least, int most) {
  option_->check(Bounds(least, most));
  return *this;
}

Argument& Argument::Between(double least, double most) {
  option_->check(Bounds(least, most));
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
  return Argument(
      app_->add_option(name, value, help)->transform(WholeNumber(UINT32_MAX)));
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

Argument Verb::AddOption(const std::string& names,
                         std::vector<std::string>& values,
                         const std::string& help) {
  return Argument(app_->add_option(names, values, help)
                      ->expected(1, 1)
                      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll));
}

Argument Verb::AddOption(const std::string& names, int& value,
                         const std::string& help) {
  return Argument(
      app_->add_option(names, value, help)->transform(WholeNumber(INT_MAX)));
}

Argument Verb::AddOption(const std::string& names, uint32_t& value,
                         const std::string& help) {
  return Argument(
      app_->add_option(names, value, help)->transform(WholeNumber(UINT32_MAX)));
}

Argument Verb::AddOption(const std::string& names, uint64_t& value,
                         const std::string& help) {
  return Argument(
      app_->add_option(names, value, help)->transform(WholeNumber(UINT64_MAX)));
}

Argument Verb::AddOption(const std::string& names,
                         std::optional<uint64_t>& value,
                         const std::string& help) {
  return Argument(
      app_->add_option(names, value, help)->transform(WholeNumber(UINT64_MAX)));
}

Argument Verb::AddOption(const std::string& names, double& value,
                         const std::string& help) {
  return Argument(app_->add_option(names, value, help)->transform(AnyNumber()));
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
  auto dashes = std::find(words.begin(), words.end(), "--");
  if (dashes != words.end()) ++dashes;
  const std::vector<std::string> plain(dashes, words.end());
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app_->parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::Success)) {
      return UsageError(ExplainLine(error, Chosen(), plain));
    }
    std::ostringstream text;
    app_->exit(error, text, text);
    return text.str();
  }
  return std::string();
}

std::vector<const CLI::App*> CommandLine::Chosen() const {
  std::vector<const CLI::App*> apps = {app_.get()};
  while (!apps.back()->get_subcommands().empty()) {
    apps.push_back(apps.back()->get_subcommands().front());
  }
  return apps;
}

std::string CommandLine::chosen_verbs() const {
  std::string verbs;
  for (const CLI::App* app : Chosen()) {
    if (app == app_.get()) continue;
    absl::StrAppend(&verbs, verbs.empty() ? "" : " ", app->get_name());
  }
  return verbs;
}

std::string CommandLine::ValueOf(const std::string& name) const {
  const CLI::Option* const option = Chosen().back()->get_option_no_throw(name);
  return option != nullptr && option->results().size() == 1
             ? option->results().front()
             : "";
}

std::vector<std::string> SplitWords(const std::string& line) {
  return CLI::detail::split_up(line);
}

}  // namespace simvisor::client
