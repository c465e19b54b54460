#include "client/script/script_file.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/script/script_check.h"
#include "client/script/script_errors.h"

namespace simvisor::client {
namespace {

using google::protobuf::TextFormat;

// Deeper than any message of the API.
constexpr int kMaxNesting = 32;

void CheckSteps(const ScriptFile& file, ScriptErrors& errors) {
  const auto* type = v1::Script::descriptor();
  const auto* steps = type->FindFieldByNumber(v1::Script::kStepsFieldNumber);
  const auto* cleanup =
      type->FindFieldByNumber(v1::Script::kCleanupFieldNumber);
  for (const ScriptFault& fault : FindScriptFaults(file.script)) {
    const auto at = file.locations->GetLocation(
        fault.place.cleanup ? cleanup : steps, fault.place.index);
    errors.AddError(at.line, at.column,
                    absl::StrCat(fault.place.ToString(), ": ", fault.text));
  }
  if (file.script.steps().empty()) {
    errors.AddError(0, 0, "the script has no steps");
  }
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
  ScriptErrors errors;
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  parser.WriteLocationsTo(file.locations.get());
  parser.SetRecursionLimit(kMaxNesting);
  if (!parser.ParseFromString(std::string(text), &file.script)) {
    ScriptErrors all;
    FindScriptErrors(text, kMaxNesting, all);
    return (all.empty() ? errors : all).ToStatus(file_name);
  }
  CheckSteps(file, errors);
  if (!errors.empty()) return errors.ToStatus(file_name);
  return file;
}

}  // namespace simvisor::client
