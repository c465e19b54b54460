// Runs one step of a script: fills in its variables, calls, compares, polls and
// saves.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_SCRIPT_STEP_RUNNER_H_
#define SIMVISOR_CLIENT_SCRIPT_STEP_RUNNER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/script/run_control.h"
#include "client/script/variables.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/text_format.h"
#include "simvisor/v1/script.pb.h"

namespace simvisor::client {

// Calls `method` with `request`; merges every response into `response`.
// DEADLINE_EXCEEDED if the call has not ended within `timeout`, which may be
// infinite.
using MethodCaller = absl::FunctionRef<absl::Status(
    const google::protobuf::MethodDescriptor& method,
    const google::protobuf::Message& request,
    google::protobuf::Message& response, absl::Duration timeout)>;

enum class StepEnd {
  kHolds,
  kFails,
  kLost,         // fails, since the daemon cannot be reached
  kSkipped,      // not called, since it uses a variable that is not set
  kInterrupted,  // by RunControl
};

struct StepResult {
  StepEnd end = StepEnd::kHolds;
  uint64_t calls = 0;
  // Why it does not hold, one line each; empty if it holds.
  std::vector<std::string> faults = {};
  absl::Status lost = {};  // the error, for kLost
};

class StepRunner {
 public:
  // All must outlive the runner.
  StepRunner(MethodCaller call, RunControl& control)
      : call_(call), control_(control) {}

  // Runs `step`.  `locations` are those of its text; may be null.
  // REQUIRES: ParseScript() accepts the step; the variables that it uses are
  // set.
  StepResult Run(const v1::Step& step,
                 google::protobuf::TextFormat::ParseInfoTree* locations);

  // What steps have saved so far.
  const Variables& variables() const { return variables_; }

 private:
  // A step as it is called: with the values of its variables.
  struct Filled;

  enum class Answer {
    kHolds,
    kDiffers,
    kFinal,     // differs, and will again
    kCutShort,  // by the poll's deadline
    kLost,
    kInterrupted,
  };
  // One call.
  struct Attempt {
    Answer answer;
    std::vector<std::string> faults = {};
    absl::Status lost = {};
  };

  absl::Status FillIn(const v1::Step& step, Filled& filled) const;
  Attempt CallOnce(const Filled& filled, absl::Duration timeout);
  StepResult Poll(const Filled& filled);
  static StepResult ToResult(Attempt attempt, uint64_t calls);
  // Saves what it can; returns a line for each field that is missing.
  std::vector<std::string> Save(const v1::Step& step,
                                const google::protobuf::Message& response);

  MethodCaller call_;
  RunControl& control_;
  Variables variables_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SCRIPT_STEP_RUNNER_H_
