#include "client/script/script_file.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/api/text_check.h"
#include "client/script/step_call.h"
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
    return absl::InvalidArgumentError(absl::StrJoin(lines_, "\n"));
  }

 private:
  std::string file_name_;
  std::vector<std::string> lines_;
};

bool IsCodeName(absl::string_view name) {
  // 16 is the last canonical code.
  for (int code = 1; code <= 16; ++code) {
    if (absl::StatusCodeToString(static_cast<absl::StatusCode>(code)) == name) {
      return true;
    }
  }
  return name.empty();
}

// What is wrong with a parsed step; empty if nothing is.
std::string FindFault(const v1::Step& step) {
  if (step.call_case() == v1::Step::CALL_NOT_SET) {
    return "the step has no call";
  }
  const absl::Status text = CheckStrings(StepCall(step).request());
  if (!text.ok()) return absl::StrCat("request.", text.message());
  if (!step.has_expect_error()) return "";
  if (StepCall(step).expected() != nullptr) {
    return "the step has expect and expect_error, and only one can hold";
  }
  if (!IsCodeName(step.expect_error().code())) {
    return absl::StrCat("expect_error.code: '", step.expect_error().code(),
                        "' is not a canonical code, such as NOT_FOUND");
  }
  return "";
}

void CheckSteps(const ScriptFile& file, ErrorLines& errors) {
  const auto* steps = v1::Script::descriptor()->FindFieldByNumber(
      v1::Script::kStepsFieldNumber);
  for (int i = 0; i < file.script.steps_size(); ++i) {
    const std::string fault = FindFault(file.script.steps(i));
    if (fault.empty()) continue;
    const auto at = file.locations->GetLocation(steps, i);
    errors.AddError(at.line, at.column,
                    absl::StrCat("step ", i + 1, ": ", fault));
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
