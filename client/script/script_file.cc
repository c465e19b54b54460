#include "client/script/script_file.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/api/error_lines.h"
#include "client/script/script_check.h"
#include "google/protobuf/io/tokenizer.h"

namespace simvisor::client {
namespace {

using google::protobuf::TextFormat;

// Deeper than any message of the API.
constexpr int kMaxNesting = 32;

class ErrorLines : public google::protobuf::io::ErrorCollector {
 public:
  explicit ErrorLines(absl::string_view file_name) : file_name_(file_name) {}

  // Lines and columns count from 0; -1 means unknown.
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    lines_.push_back(absl::StrCat(file_name_, ":", line + 1, ":", column + 1,
                                  ": ", message));
  }

  bool empty() const { return lines_.empty(); }
  absl::Status ToStatus() const {
    return absl::InvalidArgumentError(JoinFirstLines(lines_));
  }

 private:
  std::string file_name_;
  std::vector<std::string> lines_;
};

void CheckSteps(const ScriptFile& file, ErrorLines& errors) {
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
  ErrorLines errors(file_name);
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  parser.WriteLocationsTo(file.locations.get());
  parser.SetRecursionLimit(kMaxNesting);
  if (!parser.ParseFromString(std::string(text), &file.script)) {
    return errors.ToStatus();
  }
  CheckSteps(file, errors);
  if (!errors.empty()) return errors.ToStatus();
  return file;
}

}  // namespace simvisor::client
