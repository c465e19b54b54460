// Command lines: the verbs of a program, what they take, and their help.
//
// A CommandLine owns a tree of verbs.  Verb and Argument are handles of its
// parts, which may be copied and live no longer than it does.  Values are
// parsed into variables that the caller owns, which must outlive the parsing; a
// variable keeps what it has if the line does not give its argument.
//
// CLI11 does the work.  Its header takes seconds to compile, so that only the
// source of this module includes it.
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
  // A line without it is refused.
  Argument& Required();
  // It takes `least` to `most` values.
  Argument& Values(int least, int most);
  // A line that gives another value is refused; help lists the names.
  Argument& OneOf(const std::vector<std::string>& names);
  // A line whose value is not a number from `least` to `most` is refused.
  Argument& Between(int least, int most);
  Argument& Between(double least, double most);
  // A line that gives `other` too is refused.
  // REQUIRES: other != *this
  Argument& Excludes(Argument other);
  // A line that does not give `other` too is refused.
  // REQUIRES: other != *this
  Argument& Needs(Argument other);
  // What help calls its value, in place of the value's type.
  Argument& ValueName(const std::string& name);
  // Help shows the value that the variable has now.
  Argument& ShowDefault();

  friend bool operator==(const Argument&, const Argument&) = default;

 private:
  friend class Verb;
  explicit Argument(CLI::Option* option) : option_(option) {}

  CLI::Option* option_;
};

// A verb, such as p2m dump; a group of verbs, such as p2m; or the program.
class Verb {
 public:
  // A verb below this one.
  Verb AddVerb(const std::string& name, const std::string& help);
  // The same, of which a line must name one of the verbs below it.
  Verb AddGroup(const std::string& name, const std::string& help);

  // Options of the verbs above may follow this verb and those that are added
  // to it from now on.
  void InheritOptions();

  // An argument that is known by its place.
  Argument AddPositional(const std::string& name, std::string& value,
                         const std::string& help);
  Argument AddPositional(const std::string& name, uint32_t& value,
                         const std::string& help);
  // The same, of one or more words.
  Argument AddPositional(const std::string& name,
                         std::vector<std::string>& values,
                         const std::string& help);

  // An option with a value.  `names` are as in "-f,--file".
  Argument AddOption(const std::string& names, std::string& value,
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

  // The text that ends the help of the verb.
  void SetFooter(const std::string& text);

  // `chosen` runs when a line with this verb has been parsed.
  void OnChosen(std::function<void()> chosen);

  std::string name() const;
  // Those below it, in the order in which they were added.
  std::vector<Verb> verbs() const;
  // Whether `word` is an option of it whose value is the next word.
  bool TakesNextWord(const std::string& word) const;

 private:
  friend class CommandLine;
  explicit Verb(CLI::App* app) : app_(app) {}

  CLI::App* app_;
};

class CommandLine {
 public:
  // The command lines of the program `name`, which does what `description`
  // says.  A line must name a verb, once there are verbs.
  CommandLine(const std::string& name, const std::string& description);
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;
  ~CommandLine();

  // The program, whose verbs and options can be added to.
  Verb program() const;

  // The flag `names` prints `text`.
  void SetVersion(const std::string& names, const std::string& text);
  // Neither the program nor verbs that are added from now on have a --help.
  void RemoveHelp();

  std::string Help() const;

  // Parses the words of a line; verbs must be spelt out, see ExpandVerbs().
  // Sets the variables and calls what OnChosen() was given, or returns the
  // text that the line asks for instead, its help or the version.  A
  // UsageError() such as "SIZE is required"; variables may have been set then.
  absl::StatusOr<std::string> Parse(std::vector<std::string> words);

  // The verbs of the line that was parsed last, such as "balloon down", also if
  // it is wrong; empty if it names none.
  std::string chosen_verbs() const;

 private:
  const std::unique_ptr<CLI::App> app_;
};

// The words of a line.  Blanks part them, except between quotes.
std::vector<std::string> SplitWords(const std::string& line);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_COMMAND_LINE_H_
