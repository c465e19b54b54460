#include "client/script/script_errors.h"

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/quote.h"
#include "client/script/variables.h"
#include "google/protobuf/text_format.h"

namespace simvisor::client {
namespace {

using google::protobuf::TextFormat;

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

// What closes brackets such as "{{<".
std::string Closers(absl::string_view open) {
  std::string closers;
  for (auto c = open.rbegin(); c != open.rend(); ++c) {
    closers += *c == '{' ? '}' : *c == '<' ? '>' : ']';
  }
  return closers;
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
      errors_.Add(
          part.place,
          absl::StrCat(Quoted(FirstWord(part.text)),
                       " does not belong here: a script has title, steps and "
                       "cleanup"));
      return;
    }
    if (part.field != "steps" && part.field != "cleanup") {
      Parse(part);
      return;
    }
    // Behind a string without its end, brackets may be a part of it.
    if (!part.open.empty() && !part.open_string) {
      errors_.Add(
          part.place,
          absl::StrCat(Prefix(part, part.place),
                       part.open.size() == 1 ? "a bracket is" : "brackets are",
                       " not closed before the next step, or the "
                       "end of the file"));
    }
    std::vector<TextPlace> places = part.values;
    if (!Parse(part)) {
      if (places.empty()) places.push_back(part.place);
      Skip(part, static_cast<int>(places.size()));
    }
    std::vector<TextPlace>& all = places_[IsCleanup(part)];
    all.insert(all.end(), places.begin(), places.end());
  }

  // What is wrong with the steps that could be parsed.
  void CheckSteps() {
    AddScriptFaults(FindScriptFaults(script_, unread_), places_[false],
                    places_[true], errors_);
    if (script_.steps().empty()) {
      errors_.Add({}, "the script has no steps");
    }
  }

 private:
  static bool IsCleanup(const ScriptPart& part) {
    return part.field == "cleanup";
  }

  // "step 2: ", of the step of `part` that has `place`; empty for a title.
  std::string Prefix(const ScriptPart& part, const TextPlace& place) const {
    if (part.field == "title") return "";
    const bool cleanup = IsCleanup(part);
    const auto next =
        std::upper_bound(part.values.begin(), part.values.end(), place);
    const auto before = std::max<ptrdiff_t>(next - part.values.begin(), 1) - 1;
    const StepPlace step = {
        .cleanup = cleanup,
        .index = StepsOf(cleanup) + static_cast<int>(before)};
    return absl::StrCat(step.ToString(), ": ");
  }

  int StepsOf(bool cleanup) const {
    return cleanup ? script_.cleanup_size() : script_.steps_size();
  }

  // Adds what the part has to script_; false, with an error, if it has nothing.
  bool Parse(const ScriptPart& part) {
    // A string without its second quote goes on to the end of its line.
    const std::string text = absl::StrCat(
        part.text, part.open.empty() ? "" : "\n", Closers(part.open));
    v1::Script script;
    FirstError error;
    TextFormat::Parser parser;
    parser.RecordErrorsTo(&error);
    parser.SetRecursionLimit(nesting_);
    if (parser.ParseFromString(text, &script)) {
      script_.MergeFrom(script);
      return true;
    }
    const TextPlace place = Absolute(part, error.place());
    errors_.Add(place,
                absl::StrCat(Prefix(part, place), error.text(),
                             VariableHint(text, ByteAt(text, error.place()),
                                          error.text())));
    return false;
  }

  // Counts the steps of a part that cannot be parsed, and may save variables
  // all the same.
  void Skip(const ScriptPart& part, int steps) {
    const bool cleanup = IsCleanup(part);
    for (int i = 0; i < steps; ++i) {
      (cleanup ? unread_.cleanup : unread_.steps).insert(StepsOf(cleanup));
      if (cleanup) {
        script_.add_cleanup();
      } else {
        script_.add_steps();
      }
    }
    for (const std::string& name : PossibleNames(part.text)) {
      unread_.names.insert(name);
    }
  }

  // The place in the script of a place in the part.
  static TextPlace Absolute(const ScriptPart& part, const TextPlace& place) {
    return {.line = place.line + part.place.line,
            .column = place.line == 0 ? place.column + part.place.column
                                      : place.column};
  }

  const int nesting_;
  ScriptErrors& errors_;
  v1::Script script_;
  UnreadSteps unread_;
  // Where each step is, by whether it is a cleanup step.
  std::map<bool, std::vector<TextPlace>> places_;
};

}  // namespace

absl::Status ScriptErrors::ToStatus(absl::string_view file_name) const {
  std::vector<Error> sorted = errors_;
  std::stable_sort(
      sorted.begin(), sorted.end(),
      [](const Error& a, const Error& b) { return a.place < b.place; });
  std::vector<std::string> lines;
  lines.reserve(sorted.size());
  for (const Error& error : sorted) {
    lines.push_back(absl::StrCat(file_name, ":", error.place.line + 1, ":",
                                 error.place.column + 1, ": ", error.text));
  }
  return absl::InvalidArgumentError(absl::StrJoin(lines, "\n"));
}

void AddScriptFaults(const std::vector<ScriptFault>& faults,
                     const std::vector<TextPlace>& steps,
                     const std::vector<TextPlace>& cleanup,
                     ScriptErrors& errors) {
  for (const ScriptFault& fault : faults) {
    const auto& places = fault.place.cleanup ? cleanup : steps;
    const auto index = static_cast<size_t>(fault.place.index);
    errors.Add(index < places.size() ? places[index] : TextPlace{},
               absl::StrCat(fault.place.ToString(), ": ", fault.text));
  }
}

void FindScriptErrors(absl::string_view text, int nesting,
                      ScriptErrors& errors) {
  PartsCheck check(nesting, errors);
  for (const ScriptPart& part : SplitScript(text)) check.Take(part);
  if (!errors.empty()) check.CheckSteps();
}

}  // namespace simvisor::client
