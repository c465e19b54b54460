#include "client/script/step_runner.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "client/api/error.h"
#include "client/script/field_path.h"
#include "client/script/response_match.h"
#include "client/script/script_check.h"
#include "client/script/step_call.h"

namespace simvisor::client {
namespace {

using google::protobuf::Message;
using google::protobuf::TextFormat;

// How much earlier than by RunControl a call's deadline may pass: gRPC's timers
// count milliseconds.
constexpr absl::Duration kTimerError = absl::Milliseconds(5);

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

bool NoAnswer(const absl::Status& status) {
  return absl::IsUnavailable(status) && ReasonOf(status).empty();
}

// Whether the same call would fail in the same way.
bool IsFinal(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsUnimplemented(status);
}

void AddLines(std::vector<std::string> more, std::vector<std::string>& lines) {
  lines.insert(lines.end(), std::make_move_iterator(more.begin()),
               std::make_move_iterator(more.end()));
}

}  // namespace

struct StepRunner::Filled {
  // A field of the response that must have the value of a variable.
  struct ExpectedField {
    FieldPath path;
    std::string value;

    // Adds a line unless it has.
    void Compare(const Message& response,
                 std::vector<std::string>& lines) const {
      const auto actual = path.Read(response);
      if (!actual.ok()) {
        lines.push_back(absl::StrCat("missing: ", actual.status().message()));
      } else if (*actual != value) {
        lines.push_back(absl::StrCat("modified: ", path.text(), ": ",
                                     path.Show(value), " -> ",
                                     path.Show(*actual)));
      }
    }
  };

  v1::Step step;
  std::vector<ExpectedField> expected_fields;
  TextFormat::ParseInfoTree* locations = nullptr;

  // What differs in `response` from what the step expects.
  std::vector<std::string> Compare(const Message& response) const {
    const StepCall call(step);
    std::vector<std::string> differences;
    if (call.expected() != nullptr) {
      differences = FindMismatches(
          *call.expected(), response,
          locations ? call.ExpectedLocations(*locations) : nullptr);
    }
    for (const ExpectedField& field : expected_fields) {
      field.Compare(response, differences);
    }
    if (differences.empty()) return {};
    differences.insert(differences.begin(),
                       "the response differs, expected -> got:");
    return differences;
  }
};

absl::Status StepRunner::FillIn(const v1::Step& step, Filled& filled) const {
  filled.step = step;
  Message& call = StepCall::MutableCall(filled.step);
  ExpandVariables(variables_, call);
  for (const v1::SetField& set : step.set()) {
    const std::string& value = variables_.at(set.variable());
    absl::string_view field = set.field();
    if (absl::ConsumePrefix(&field, kExpectPrefix)) {
      const auto response = StepCall(step).NewResponse();
      SIMVISOR_ASSIGN_OR_RETURN(
          FieldPath path, FieldPath::Parse(*response->GetDescriptor(), field));
      filled.expected_fields.push_back({std::move(path), value});
      continue;
    }
    SIMVISOR_ASSIGN_OR_RETURN(const FieldPath path,
                              FieldPath::Parse(*call.GetDescriptor(), field));
    SIMVISOR_RETURN_IF_ERROR(path.Write(value, call));
  }
  return absl::OkStatus();
}

std::vector<std::string> StepRunner::Save(const v1::Step& step,
                                          const Message& response) {
  std::vector<std::string> missing;
  for (const v1::SavedField& saved : step.save()) {
    const auto path =
        FieldPath::Parse(*response.GetDescriptor(), saved.field());
    auto value = path.ok() ? path->Read(response)
                           : absl::StatusOr<std::string>(path.status());
    if (value.ok()) {
      variables_[saved.name()] = *std::move(value);
    } else {
      missing.push_back(absl::StrCat("cannot save ", saved.name(), ": ",
                                     value.status().message()));
    }
  }
  return missing;
}

StepRunner::Attempt StepRunner::CallOnce(const Filled& filled,
                                         absl::Duration timeout) {
  const StepCall call(filled.step);
  const std::unique_ptr<Message> response = call.NewResponse();
  const absl::Duration deadline = control_.Now() + timeout;
  const absl::Status status =
      call_(*call.method(), call.request(), *response, timeout);
  if (absl::IsCancelled(status) && control_.Interrupted()) {
    return {Answer::kInterrupted, {"the call was cancelled"}};
  }
  if (NoAnswer(status)) {
    return {
        Answer::kLost, {absl::StrCat("got:      ", Describe(status))}, status};
  }
  if (absl::IsDeadlineExceeded(status) &&
      control_.Now() + kTimerError >= deadline) {
    return {Answer::kCutShort, {"got:      no answer"}};
  }
  std::vector<std::string> faults;
  if (filled.step.has_expect_error()) {
    faults = CompareFailure(filled.step.expect_error(), status);
  } else if (!status.ok()) {
    faults = {"expected: success", absl::StrCat("got:      ", Name(status))};
  } else {
    faults = filled.Compare(*response);
    AddLines(Save(filled.step, *response), faults);
  }
  if (faults.empty()) return {Answer::kHolds};
  return {IsFinal(status) ? Answer::kFinal : Answer::kDiffers,
          std::move(faults)};
}

StepResult StepRunner::Poll(const Filled& filled) {
  const v1::Poll& poll = filled.step.poll();
  const absl::Duration timeout = absl::Milliseconds(poll.timeout_ms());
  const absl::Duration end = control_.Now() + timeout;
  StepResult result;
  std::vector<std::string> last;
  for (;;) {
    Attempt attempt = CallOnce(filled, end - control_.Now());
    ++result.calls;
    if (attempt.answer != Answer::kDiffers &&
        attempt.answer != Answer::kCutShort) {
      return ToResult(std::move(attempt), result.calls);
    }
    // What a call cut short leaves says less than the answer before it.
    if (attempt.answer == Answer::kDiffers || last.empty()) {
      last = std::move(attempt.faults);
    }
    control_.Wait(std::min(IntervalOf(poll), end - control_.Now()));
    if (control_.Interrupted()) {
      result.end = StepEnd::kInterrupted;
      break;
    }
    if (control_.Now() >= end) {
      result.end = StepEnd::kFails;
      result.faults.push_back(absl::StrCat(
          "not so within ", absl::FormatDuration(timeout), " (", result.calls,
          result.calls == 1 ? " call" : " calls", "); at last:"));
      break;
    }
  }
  AddLines(std::move(last), result.faults);
  return result;
}

StepResult StepRunner::ToResult(Attempt attempt, uint64_t calls) {
  StepResult result{.calls = calls, .faults = std::move(attempt.faults)};
  switch (attempt.answer) {
    case Answer::kHolds:
      result.end = StepEnd::kHolds;
      break;
    case Answer::kDiffers:
    case Answer::kFinal:
    case Answer::kCutShort:
      result.end = StepEnd::kFails;
      break;
    case Answer::kLost:
      result.end = StepEnd::kLost;
      result.lost = std::move(attempt.lost);
      break;
    case Answer::kInterrupted:
      result.end = StepEnd::kInterrupted;
      break;
  }
  return result;
}

StepResult StepRunner::Run(const v1::Step& step,
                           TextFormat::ParseInfoTree* locations) {
  Filled filled;
  filled.locations = locations;
  const absl::Status fits = FillIn(step, filled);
  if (!fits.ok()) {
    return {.end = StepEnd::kFails, .faults = {std::string(fits.message())}};
  }
  if (step.has_poll()) return Poll(filled);
  return ToResult(CallOnce(filled, absl::InfiniteDuration()), 1);
}

}  // namespace simvisor::client
