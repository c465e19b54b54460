// Runs the steps of a script in order, up to the first one that does not hold.
//
// Thread safety: pure except for the caller and the observer that it is given.

#ifndef SIMVISOR_CLIENT_SCRIPT_SCRIPT_RUNNER_H_
#define SIMVISOR_CLIENT_SCRIPT_SCRIPT_RUNNER_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "client/script/script_file.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace simvisor::client {

// Calls `method` with `request`; merges every response into `response`.
using MethodCaller = absl::FunctionRef<absl::Status(
    const google::protobuf::MethodDescriptor& method,
    const google::protobuf::Message& request,
    google::protobuf::Message& response)>;

// The outcome of one step.
struct StepOutcome {
  int number = 0;  // from 1
  int total = 0;
  std::string name;  // the step's name, else the method's
  // Why the step does not hold, one line each; empty if it holds.
  std::vector<std::string> faults;
};

// Called before a step runs (without faults), and after it.
struct StepObserver {
  absl::FunctionRef<void(const StepOutcome&)> started;
  absl::FunctionRef<void(const StepOutcome&)> finished;
};

// Runs `file`.  FAILED_PRECONDITION "step N of M does not hold" for the first
// step that does not hold, INTERNAL for a step whose method this program does
// not know, and the caller's error if the daemon cannot be reached (UNAVAILABLE
// without a reason), since that is not an answer of the daemon.
absl::Status RunScript(const ScriptFile& file, MethodCaller call,
                       const StepObserver& observer);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SCRIPT_SCRIPT_RUNNER_H_
