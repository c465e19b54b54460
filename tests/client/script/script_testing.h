// Runs scripts against given answers, on a clock that only waiting moves.
//
// Thread safety: one thread.

#ifndef SIMVISOR_TESTS_CLIENT_SCRIPT_SCRIPT_TESTING_H_
#define SIMVISOR_TESTS_CLIENT_SCRIPT_SCRIPT_TESTING_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/api/error.h"
#include "client/script/script_file.h"
#include "client/script/script_runner.h"
#include "google/protobuf/text_format.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"

namespace simvisor::client {

// An error of the daemon, as it comes over the wire.
inline absl::Status RemoteError(grpc::StatusCode code,
                                const std::string& reason) {
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  return FromGrpc(grpc::Status(code, "a message", details.SerializeAsString()),
                  "unix:/x");
}

inline absl::Status NotFound() {
  return RemoteError(grpc::StatusCode::NOT_FOUND, "DOMAIN_NOT_FOUND");
}

// Time that passes only while a script waits, or when a test moves it.
class FakeControl final : public RunControl {
 public:
  absl::Duration Now() override { return now; }
  void Wait(absl::Duration time) override {
    waits.push_back(time);
    now += time;
    if (waits.size() == interrupt_in_wait) interrupted = true;
  }
  bool Interrupted() override { return interrupted && !in_cleanup; }
  void BeginCleanup() override { in_cleanup = true; }

  absl::Duration now = absl::Seconds(1000);
  std::vector<absl::Duration> waits;
  size_t interrupt_in_wait = 0;  // 1 for the first wait, 0 for none
  bool interrupted = false;
  bool in_cleanup = false;
};

// The answer to a call: an error, or a response in text format.
struct Answer {
  Answer(absl::Status error) : status(std::move(error)) {}  // NOLINT
  Answer(const char* text) : response(text) {}              // NOLINT

  absl::Status status;
  std::string response;
};

struct RunResult {
  absl::Status status;
  std::vector<StepOutcome> outcomes;
  std::vector<std::string> methods;   // full names
  std::vector<std::string> requests;  // in text format, on one line
  std::vector<absl::Duration> timeouts;
};

// The end of each step that was reached, such as {kHolds, kFails}.
inline std::vector<StepEnd> EndsOf(const RunResult& result) {
  std::vector<StepEnd> ends;
  for (const StepOutcome& step : result.outcomes) {
    ends.push_back(step.result.end);
  }
  return ends;
}

// Runs a script against answers that are given in order; the last serves all
// later calls.  `on_call` is told the number of each call, from 1, before it
// is answered.
inline RunResult RunSteps(
    const std::string& text, const std::vector<Answer>& answers,
    FakeControl& control, const RunOptions& options = {},
    const std::function<void(size_t)>& on_call = [](size_t) {}) {
  using google::protobuf::TextFormat;
  RunResult result;
  const auto file = ParseScript("a", text);
  if (!file.ok()) {
    ADD_FAILURE() << file.status();
    return result;
  }
  result.status = RunScript(
      *file, options,
      [&](const auto& method, const auto& request, auto& response,
          absl::Duration timeout) {
        result.methods.push_back(method.full_name());
        TextFormat::Printer printer;
        printer.SetSingleLineMode(true);
        printer.PrintToString(request, &result.requests.emplace_back());
        result.timeouts.push_back(timeout);
        on_call(result.methods.size());
        const Answer& answer =
            answers.at(std::min(result.methods.size(), answers.size()) - 1);
        EXPECT_TRUE(TextFormat::ParseFromString(answer.response, &response));
        return answer.status;
      },
      control,
      {.started = [](const StepOutcome&) {},
       .finished =
           [&](const StepOutcome& step) { result.outcomes.push_back(step); }});
  return result;
}

inline RunResult RunSteps(const std::string& text,
                          const std::vector<Answer>& answers,
                          const RunOptions& options = {}) {
  FakeControl control;
  return RunSteps(text, answers, control, options);
}

}  // namespace simvisor::client

#endif  // SIMVISOR_TESTS_CLIENT_SCRIPT_SCRIPT_TESTING_H_
