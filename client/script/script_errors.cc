#include "client/script/script_errors.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/quote.h"
#include "client/script/script_check.h"
#include "client/script/script_parts.h"
#include "client/script/variables.h"
#include "google/protobuf/text_format.h"

namespace simvisor::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::TextFormat;

// The byte at a line and a column of `text`; its size if it has no such byte.
size_t ByteAt(absl::string_view text, int line, int column) {
  constexpr int kTabWidth = 8;
  size_t at = 0;
  for (int i = 0; i < line; ++i) {
    at = text.find('\n', at);
    if (at == absl::string_view::npos) return text.size();
    ++at;
  }
  int now = 0;
  for (; at < text.size() && now < column && text[at] != '\n'; ++at) {
    now += text[at] == '\t' ? kTabWidth - now % kTabWidth : 1;
  }
  return at;
}

// What to write instead if a field has ${NAME}, which text format does not
// have, at byte `at` of a step; otherwise empty.
std::string VariableHint(absl::string_view step, size_t at,
                         absl::string_view message) {
  absl::string_view rest = step.substr(std::min(at, step.size()));
  const bool quoted =
      absl::StartsWith(rest, "\"") || absl::StartsWith(rest, "'");
  if (quoted) rest.remove_prefix(1);
  if (!absl::StartsWith(rest, "${")) return "";
  const absl::string_view name = rest.substr(2, rest.find('}') - 2);
  if (!IsVariableName(name)) return "";
  if (!quoted && absl::StrContains(message, "Expected string")) {
    return absl::StrCat("; write it in quotes: \"${", name, "}\"");
  }
  const std::string path = PathOfField(step, at);
  return absl::StrCat(
      "; only strings can have ${", name,
      "}: leave this field out, and give the step set { field: \"",
      path.empty() ? "request.FIELD" : path, "\" variable: \"", name, "\" }");
}

// Such as "step" or "}", of a text that begins without blanks.
absl::string_view FirstWord(absl::string_view text) {
  constexpr size_t kMost = 40;
  const size_t end = text.find_first_of(" \t\r\n:{}<>[]#", 1);
  return text.substr(0, std::min(end, kMost));
}

// The parts of a script, one after the other.
class PartsCheck {
 public:
  PartsCheck(int nesting, ScriptErrors& errors)
      : nesting_(nesting), errors_(errors) {}

  void Take(const ScriptPart& part) {
    if (part.field.empty()) {
      errors_.AddError(
          part.line, part.column,
          absl::StrCat(Quoted(FirstWord(part.text)),
                       " does not belong here: a script has title, steps and "
                       "cleanup"));
      return;
    }
    const bool cleanup = part.field == "cleanup";
    if (!cleanup && part.field != "steps") {
      Parse(part, "");
      return;
    }
    const StepPlace place = {.cleanup = cleanup, .index = StepsOf(cleanup)};
    const std::string prefix = absl::StrCat(place.ToString(), ": ");
    if (part.open > 0) {
      errors_.AddError(
          part.line, part.column,
          absl::StrCat(prefix, part.open == 1 ? "a bracket is" : "brackets are",
                       " not closed before the next step, or the "
                       "end of the file"));
    }
    if (!Parse(part, prefix)) Skip(part, place);
  }

  // What is wrong with the steps that could be parsed.
  void CheckSteps() {
    for (const ScriptFault& fault : FindScriptFaults(script_, unread_)) {
      const auto [line, column] =
          places_.at({fault.place.cleanup, fault.place.index});
      errors_.AddError(line, column,
                       absl::StrCat(fault.place.ToString(), ": ", fault.text));
    }
    if (script_.steps().empty()) {
      errors_.AddError(0, 0, "the script has no steps");
    }
  }

 private:
  int StepsOf(bool cleanup) const {
    return cleanup ? script_.cleanup_size() : script_.steps_size();
  }

  // Adds what the part has to script_; false, with errors, if it has nothing.
  bool Parse(const ScriptPart& part, const std::string& prefix) {
    const std::string text =
        absl::StrCat(part.text, std::string(part.open, '}'));
    v1::Script script;
    TextFormat::ParseInfoTree locations;
    ScriptErrors errors;
    TextFormat::Parser parser;
    parser.RecordErrorsTo(&errors);
    parser.WriteLocationsTo(&locations);
    parser.SetRecursionLimit(nesting_);
    if (parser.ParseFromString(text, &script)) {
      Place(part, script.steps_size(), v1::Script::kStepsFieldNumber,
            locations);
      Place(part, script.cleanup_size(), v1::Script::kCleanupFieldNumber,
            locations);
      script_.MergeFrom(script);
      return true;
    }
    for (const ScriptErrors::Error& error : errors.errors()) {
      const size_t at = ByteAt(text, error.line, error.column);
      AddIn(
          part, error.line, error.column,
          absl::StrCat(prefix, error.text, VariableHint(text, at, error.text)));
    }
    return false;
  }

  // Remembers where the steps of a part are.
  void Place(const ScriptPart& part, int steps, int number,
             const TextFormat::ParseInfoTree& locations) {
    const FieldDescriptor* const field =
        v1::Script::descriptor()->FindFieldByNumber(number);
    const bool cleanup = number == v1::Script::kCleanupFieldNumber;
    for (int i = 0; i < steps; ++i) {
      const auto at = locations.GetLocation(field, i);
      places_[{cleanup, StepsOf(cleanup) + i}] =
          Absolute(part, at.line, at.column);
    }
  }

  // Counts a step that cannot be parsed, and may save variables all the same.
  void Skip(const ScriptPart& part, const StepPlace& place) {
    (place.cleanup ? unread_.cleanup : unread_.steps).insert(place.index);
    for (const std::string& name : PossibleNames(part.text)) {
      unread_.names.insert(name);
    }
    if (place.cleanup) {
      script_.add_cleanup();
    } else {
      script_.add_steps();
    }
  }

  static std::pair<int, int> Absolute(const ScriptPart& part, int line,
                                      int column) {
    return {line + part.line, line == 0 ? column + part.column : column};
  }

  void AddIn(const ScriptPart& part, int line, int column,
             const std::string& text) {
    const auto [at_line, at_column] = Absolute(part, line, column);
    errors_.AddError(at_line, at_column, text);
  }

  const int nesting_;
  ScriptErrors& errors_;
  v1::Script script_;
  UnreadSteps unread_;
  // Line and column of each step, by whether it is a cleanup step and by index.
  std::map<std::pair<bool, int>, std::pair<int, int>> places_;
};

}  // namespace

absl::Status ScriptErrors::ToStatus(absl::string_view file_name) const {
  std::vector<Error> sorted = errors_;
  std::stable_sort(
      sorted.begin(), sorted.end(),
      [](const Error& a, const Error& b) { return a.line < b.line; });
  std::vector<std::string> lines;
  lines.reserve(sorted.size());
  for (const Error& error : sorted) {
    lines.push_back(absl::StrCat(file_name, ":", error.line + 1, ":",
                                 error.column + 1, ": ", error.text));
  }
  return absl::InvalidArgumentError(absl::StrJoin(lines, "\n"));
}

void FindScriptErrors(absl::string_view text, int nesting,
                      ScriptErrors& errors) {
  PartsCheck check(nesting, errors);
  for (const ScriptPart& part : SplitScript(text)) check.Take(part);
  if (!errors.empty()) check.CheckSteps();
}

}  // namespace simvisor::client
