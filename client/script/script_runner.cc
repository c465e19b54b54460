#include "client/script/script_runner.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "client/api/error.h"
#include "client/script/response_match.h"
#include "client/script/step_call.h"

namespace simvisor::client {
namespace {

using google::protobuf::Message;
using google::protobuf::TextFormat;

// "NOT_FOUND DOMAIN_NOT_FOUND", with "any" for what the script leaves open.
std::string Name(absl::string_view code, absl::string_view reason) {
  return absl::StrCat(code.empty() ? "any error" : code,
                      reason.empty() ? "" : " ", reason);
}

std::string Name(const absl::Status& status) {
  return absl::StrCat(
      Name(absl::StatusCodeToString(status.code()), ReasonOf(status)), ": ",
      status.message());
}

std::vector<std::string> CompareFailure(const v1::ExpectedError& expected,
                                        const absl::Status& actual) {
  const std::string wanted = Name(expected.code(), expected.reason());
  if (actual.ok())
    return {absl::StrCat("expected: ", wanted), "got:      success"};
  const bool code_holds =
      expected.code().empty() ||
      expected.code() == absl::StatusCodeToString(actual.code());
  const bool reason_holds =
      expected.reason().empty() || expected.reason() == ReasonOf(actual);
  if (code_holds && reason_holds) return {};
  return {absl::StrCat("expected: ", wanted),
          absl::StrCat("got:      ", Name(actual))};
}

std::vector<std::string> CompareResponse(const StepCall& call,
                                         const absl::Status& status,
                                         const Message& response,
                                         TextFormat::ParseInfoTree* locations) {
  if (!status.ok())
    return {"expected: success", absl::StrCat("got:      ", Name(status))};
  if (call.expected() == nullptr) return {};
  const std::vector<std::string> mismatches =
      FindMismatches(*call.expected(), response,
                     locations ? call.ExpectedLocations(*locations) : nullptr);
  if (mismatches.empty()) return {};
  std::vector<std::string> lines = {"the response differs, expected -> got:"};
  lines.insert(lines.end(), mismatches.begin(), mismatches.end());
  return lines;
}

bool NoAnswer(const absl::Status& status) {
  return absl::IsUnavailable(status) && ReasonOf(status).empty();
}

}  // namespace

absl::Status RunScript(const ScriptFile& file, MethodCaller call_method,
                       const StepObserver& observer) {
  const auto* steps = v1::Script::descriptor()->FindFieldByNumber(
      v1::Script::kStepsFieldNumber);
  const int total = file.script.steps_size();
  for (int i = 0; i < total; ++i) {
    const v1::Step& step = file.script.steps(i);
    const StepCall call(step);
    if (call.method() == nullptr) {
      return absl::InternalError(absl::StrCat(
          "step ", i + 1, ": no service has a method that takes a ",
          call.request().GetTypeName()));
    }
    StepOutcome outcome{
        .number = i + 1,
        .total = total,
        .name = step.name().empty() ? call.method()->name() : step.name(),
        .faults = {}};
    observer.started(outcome);
    const std::unique_ptr<Message> response = call.NewResponse();
    const absl::Status status =
        call_method(*call.method(), call.request(), *response);
    if (NoAnswer(status)) return status;
    outcome.faults =
        step.has_expect_error()
            ? CompareFailure(step.expect_error(), status)
            : CompareResponse(call, status, *response,
                              file.locations->GetTreeForNested(steps, i));
    observer.finished(outcome);
    if (!outcome.faults.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("step ", i + 1, " of ", total, " does not hold"));
    }
  }
  return absl::OkStatus();
}

}  // namespace simvisor::client
