// Command lines: the verbs of a program, what they take, and their help.
//
// A CommandLine owns a tree of verbs.  Verb and Argument are handles to its
// parts; they may be copied, and must not outlive it.  Values are parsed into
// variables of the caller, which must outlive the parsing; a variable keeps its
// value if the line does not give its argument.
//
// CLI11 does the work.  Only the sources of this module and of line_errors.h
// include its header, which takes seconds to compile.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_UI_COMMAND_LINE_H_
#define SIMVISOR_CLIENT_UI_COMMAND_LINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's
class App;
class Option;
}  // namespace CLI

namespace simvisor::client {

// A positional argument, an option or a flag of a verb.  Each method returns
// the argument, so that calls can be chained.
class Argument {
 public:
  // The line must give it.
  Argument& Required();
  // It takes `least` to `most` values.
  Argument& Values(int least, int most);
  // Its value must be one of `names`, which help lists.
  Argument& OneOf(const std::vector<std::string>& names);
  // Its value must be a number from `least` to `most`.
  Argument& Between(int least, int most);
  Argument& Between(double least, double most);
  // The line must not give `other` too.
  // REQUIRES: other != *this
  Argument& Excludes(Argument other);
  // The line must give `other` too.
  // REQUIRES: other != *this
  Argument& Needs(Argument other);
  // Help names its value `name` instead of showing its type.
  Argument& ValueName(const std::string& name);
  // Help shows the current value of the variable as the default.
  Argument& ShowDefault();

  friend bool operator==(const Argument&, const Argument&) = default;

 private:
  friend class Verb;
  explicit Argument(CLI::Option* option) : option_(option) {}

  CLI::Option* option_;
};

// What help says of an argument.
struct ArgumentHelp {
  // "-o" and "--output"; of a positional argument its only name, such as DOM.
  std::vector<std::string> names;
  bool positional = false;
  bool required = false;
  bool repeated = false;  // takes more than one value
  // What its value is called, such as NAME or TEXT; empty for a flag and for a
  // positional argument.
  std::string value;
  // What the value must be one of; empty if it may be anything.
  std::vector<std::string> choices;
  std::string text;
};

// A verb, such as p2m dump; a group of verbs, such as p2m; or the program.
class Verb {
 public:
  // A verb below this one.
  Verb AddVerb(const std::string& name, const std::string& help);
  // The same for a group: a line must name one of the verbs below it.
  Verb AddGroup(const std::string& name, const std::string& help);

  // Lets options of the verbs above it follow this verb, and the verbs that are
  // added to it from now on.
  void InheritOptions();

  // A positional argument.
  Argument AddPositional(const std::string& name, std::string& value,
                         const std::string& help);
  Argument AddPositional(const std::string& name, uint32_t& value,
                         const std::string& help);
  // A positional argument of one or more words.
  Argument AddPositional(const std::string& name,
                         std::vector<std::string>& values,
                         const std::string& help);

  // An option with a value.  `names` are as in "-f,--file".
  Argument AddOption(const std::string& names, std::string& value,
                     const std::string& help);
  // One that a line may give any number of times, with a value each.
  Argument AddOption(const std::string& names, std::vector<std::string>& values,
                     const std::string& help);
  Argument AddOption(const std::string& names, int& value,
                     const std::string& help);
  Argument AddOption(const std::string& names, uint32_t& value,
                     const std::string& help);
  Argument AddOption(const std::string& names, uint64_t& value,
                     const std::string& help);
  Argument AddOption(const std::string& names, std::optional<uint64_t>& value,
                     const std::string& help);
  Argument AddOption(const std::string& names, double& value,
                     const std::string& help);

  // An option without a value.
  Argument AddFlag(const std::string& names, bool& value,
                   const std::string& help);

  // Options without a value, and one with a value, that a line may give any
  // number of times and that have no effect.
  Argument AddIgnored(const std::string& names, const std::string& help);
  Argument AddIgnoredOption(const std::string& names, const std::string& help);

  // Sets the text at the end of the verb's help.
  void SetFooter(const std::string& text);

  // Calls `chosen` when a line with this verb has been parsed.
  void OnChosen(std::function<void()> chosen);

  // What --help of the program prints, whatever line was parsed.
  // REQUIRES: this is the program.
  std::string Help() const;

  std::string name() const;
  // The verbs below it, in the order in which they were added.
  std::vector<Verb> verbs() const;
  // Whether `word` is one of its options, perhaps with a value: -x, -xVALUE,
  // --name or --name=VALUE.
  bool HasOption(const std::string& word) const;
  // What help says of it, and at its end.
  std::string help() const;
  std::string footer() const;
  // Its arguments in the order in which they were added, --help first; not
  // those of the verbs above it.  Arguments that help does not show are left
  // out.
  std::vector<ArgumentHelp> arguments() const;
  // Whether `word` is one of its options and takes the next word as its value.
  bool TakesNextWord(const std::string& word) const;

 private:
  friend class CommandLine;
  explicit Verb(CLI::App* app) : app_(app) {}

  CLI::App* app_;
};

class CommandLine {
 public:
  // A program `name` whose help begins with `description`.  Once it has verbs,
  // a line must name one.
  CommandLine(const std::string& name, const std::string& description);
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;
  ~CommandLine();

  // The program, to add verbs and options to.
  Verb program() const;

  // Adds the flag `names`, which prints `text`.
  void SetVersion(const std::string& names, const std::string& text);
  // Removes --help from the program, and from verbs that are added from now on.
  void RemoveHelp();

  // Parses the words of a line; verbs must be spelt out, see ExpandVerbs().
  // Sets the variables, calls what OnChosen() was given and returns an empty
  // string.  For a line that asks for help or the version, returns that text
  // instead.  A UsageError() such as "SIZE is required", with the option
  // that a word may stand for which the verb does not take; variables may have
  // been set by then.
  absl::StatusOr<std::string> Parse(std::vector<std::string> words);

  // The verbs of the line that was parsed last, such as "balloon down", even if
  // it is wrong; empty if it names no verb.
  std::string chosen_verbs() const;
  // What that line gives to the positional argument `name` of its last verb;
  // empty unless that is one word.
  std::string ValueOf(const std::string& name) const;

 private:
  // The program and the verbs of the line that was parsed last.
  std::vector<const CLI::App*> Chosen() const;

  const std::unique_ptr<CLI::App> app_;
};

// Splits a line into words at blanks outside quotes.
std::vector<std::string> SplitWords(const std::string& line);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_COMMAND_LINE_H_
