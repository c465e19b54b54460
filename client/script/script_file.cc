#include "client/script/script_file.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/script/script_check.h"
#include "client/script/script_errors.h"
#include "client/script/script_parts.h"

namespace simvisor::client {
namespace {

using google::protobuf::TextFormat;

// Deeper than any message of the API.
constexpr int kMaxNesting = 32;

// Adds what is wrong with `script`, which `text` holds.
void CheckSteps(absl::string_view text, const v1::Script& script,
                ScriptErrors& errors) {
  const std::vector<ScriptFault> faults = FindScriptFaults(script);
  if (!faults.empty()) {
    const std::vector<ScriptPart> parts = SplitScript(text);
    AddScriptFaults(faults, PlacesOf(parts, "steps"),
                    PlacesOf(parts, "cleanup"), errors);
  }
  if (script.steps().empty()) errors.Add({}, "the script has no steps");
}

}  // namespace

absl::StatusOr<ScriptFile> ParseScript(absl::string_view file_name,
                                       absl::string_view text) {
  if (text.size() > kMaxScriptBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(file_name, ": ", text.size(),
                     " bytes: a script has at most ", kMaxScriptBytes));
  }
  ScriptFile file;
  file.locations = std::make_unique<TextFormat::ParseInfoTree>();
  FirstError error;
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.WriteLocationsTo(file.locations.get());
  parser.SetRecursionLimit(kMaxNesting);
  ScriptErrors errors;
  if (!parser.ParseFromString(std::string(text), &file.script)) {
    FindScriptErrors(text, kMaxNesting, errors);
    if (errors.empty()) errors.Add(error.place(), error.text());
    return errors.ToStatus(file_name);
  }
  CheckSteps(text, file.script, errors);
  if (!errors.empty()) return errors.ToStatus(file_name);
  return file;
}

}  // namespace simvisor::client
