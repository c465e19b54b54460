#include "tests/client/verbs/verb_fixture.h"

#include <algorithm>
#include <fstream>
#include <regex>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/api/address.h"
#include "client/app.h"
#include "client/ui/command_line.h"
#include "nlohmann/json.hpp"
#include "tests/support/golden_file.h"

namespace simvisor::client {
namespace {

std::string Visible(absl::string_view text) {
  std::string visible;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) {
      absl::StrAppendFormat(&visible, "\\x%02x", byte);
    } else {
      visible.push_back(c);
    }
  }
  return visible;
}

// JSON with its keys in order and little indentation, so that goldens show
// changes of the API and not of the layout.  Other text unchanged.
std::string InOrder(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_structured()) return text;
  return absl::StrCat(json.dump(1), "\n");
}

// A line of help with the excluded options in order: CLI11 sorts them by their
// addresses.
std::string SortExcludes(const std::string& line) {
  const std::string kExcludes = " Excludes: ";
  const size_t at = line.find(kExcludes);
  if (at == std::string::npos) return line;
  const size_t names = at + kExcludes.size();
  std::vector<std::string> options =
      absl::StrSplit(line.substr(names), ' ', absl::SkipEmpty());
  std::sort(options.begin(), options.end());
  return absl::StrCat(line.substr(0, names), absl::StrJoin(options, " "));
}

// The verbs that `help` lists.
std::vector<std::string> VerbsIn(const std::string& help) {
  std::vector<std::string> verbs;
  bool listed = false;
  for (const absl::string_view line : absl::StrSplit(help, '\n')) {
    if (listed && !absl::StartsWith(line, "  ")) break;
    if (listed && line.size() > 2 && line[2] != ' ') {
      verbs.emplace_back(line.substr(2, line.find(' ', 2) - 2));
    }
    listed |= line == "Subcommands:";
  }
  return verbs;
}

// Appends `verb` to `all`, or the verbs below it if it is a group.
void AddVerbs(const std::string& verb, std::vector<std::string>& all) {
  std::ostringstream out;
  const std::string line =
      absl::StrCat(verb, verb.empty() ? "" : " ", "--help");
  EXPECT_EQ(RunApp(SplitWords(line), {.out = out, .err = out}), 0) << out.str();
  const std::vector<std::string> below = VerbsIn(out.str());
  if (below.empty()) all.push_back(verb);
  for (const std::string& name : below) {
    AddVerbs(absl::StrCat(verb, verb.empty() ? "" : " ", name), all);
  }
}

}  // namespace

std::vector<std::string> AllVerbs() {
  std::vector<std::string> all;
  AddVerbs("", all);
  return all;
}

void VerbTest::Begin(const std::string& verb) {
  verb_ = verb;
  RunWithoutAddress(absl::StrCat(verb, verb.empty() ? "" : " ", "--help"));
}

void VerbTest::TearDown() {
  if (transcript_.empty()) return;
  const std::string name = absl::StrReplaceAll(verb_, {{" ", "_"}, {"-", "_"}});
  ExpectGolden(absl::StrCat("verbs/", name.empty() ? "simvisor" : name, ".txt"),
               transcript_);
}

void VerbTest::Note(absl::string_view fact) {
  absl::StrAppend(&transcript_, "\n# ", fact, "\n");
}

int VerbTest::Run(const std::string& line) {
  std::vector<std::string> words = SplitWords(line);
  words.insert(words.begin(), {"-H", address_});
  return RunWords(line, std::move(words), Output::kFiles);
}

int VerbTest::RunOnTerminal(const std::string& line) {
  std::vector<std::string> words = SplitWords(line);
  words.insert(words.begin(), {"-H", address_});
  return RunWords(line, std::move(words), Output::kTerminal);
}

int VerbTest::RunWithoutAddress(const std::string& line) {
  return RunWords(line, SplitWords(line), Output::kFiles);
}

int VerbTest::RunUnseen(const std::string& line) {
  std::vector<std::string> words = SplitWords(line);
  words.insert(words.begin(), {"-H", address_});
  std::ostringstream ignored;
  return RunApp(words, {.out = ignored, .err = ignored});
}

int VerbTest::RunWords(const std::string& line, std::vector<std::string> words,
                       Output output) {
  daemon_.TakeRequests();
  std::ostringstream out;
  std::ostringstream err;
  const bool terminal = output == Output::kTerminal;
  const int code =
      RunApp(words, {.out = out, .err = err, .err_is_terminal = terminal});
  Add("$ ", absl::StrCat("simvisor", line.empty() ? "" : " ", line, "\n"));
  for (const std::string& request : daemon_.TakeRequests()) {
    Add("> ", absl::StrCat(request, "\n"));
  }
  Add("|", InOrder(out.str()));
  Add("!", err.str());
  absl::StrAppend(&transcript_, "= ", code, "\n");
  return code;
}

void VerbTest::Add(absl::string_view mark, absl::string_view text) {
  // Durations differ from run to run.
  static const std::regex kTime(
      "(\\(|\"milliseconds\": )[0-9.]+(e-[0-9]+)?( ms|,)");
  // So do the ids that the program chooses.
  static const std::regex kId("migration_id: \"[0-9a-f]{32}\"");
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const bool whole = end != absl::string_view::npos;
    const std::string line = absl::StrReplaceAll(
        Visible(text.substr(0, end)),
        {{folder_.path(), "FOLDER"}, {DefaultAddress(), "ADDRESS"}});
    const bool tight = mark.size() == 1;
    absl::StrAppend(&transcript_, mark, tight && !whole ? "~" : "",
                    tight && !line.empty() ? " " : "",
                    SortExcludes(std::regex_replace(
                        std::regex_replace(line, kTime, "$1TIME$3"), kId,
                        "migration_id: \"RANDOM\"")),
                    "\n");
    text.remove_prefix(whole ? end + 1 : text.size());
  }
}

std::string VerbTest::WriteFile(const std::string& name,
                                const std::string& text) {
  std::ofstream(folder_ / name) << text;
  return folder_ / name;
}

}  // namespace simvisor::client
