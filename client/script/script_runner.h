// Runs the steps of a script in order, then its cleanup steps.
//
// Thread safety: pure except for the caller, the control and the observer that
// it is given.

#ifndef SIMVISOR_CLIENT_SCRIPT_SCRIPT_RUNNER_H_
#define SIMVISOR_CLIENT_SCRIPT_SCRIPT_RUNNER_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "client/script/run_control.h"
#include "client/script/script_file.h"
#include "client/script/step_runner.h"

namespace simvisor::client {

// A step, and after it has run, its result.
struct StepOutcome {
  bool cleanup = false;
  int number = 0;    // from 1, among the steps or the cleanup steps
  int total = 0;     // of those
  std::string name;  // the step's name, else the method's
  StepResult result;
};

// Called before a step runs (without a result), and after it.
struct StepObserver {
  absl::FunctionRef<void(const StepOutcome&)> started;
  absl::FunctionRef<void(const StepOutcome&)> finished;
};

struct RunOptions {
  // Whether the steps after one that fails run too.
  bool keep_going = false;
};

// Runs `file`.  A step that does not hold, an interruption and a daemon that
// cannot be reached end the steps; `keep_going` only concerns the first of
// these.  Then all cleanup steps run.
//
// The first failure is the result: FAILED_PRECONDITION for a step that does not
// hold, the caller's error if the daemon cannot be reached (UNAVAILABLE without
// a reason), since that is not an answer of the daemon, and CANCELLED for an
// interruption.  The message counts the others: "step N of M does not hold; 2
// of 3 cleanup steps do not hold", or with `keep_going` "K of M steps do not
// hold, the first is step N".
absl::Status RunScript(const ScriptFile& file, const RunOptions& options,
                       MethodCaller call, RunControl& control,
                       const StepObserver& observer);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SCRIPT_SCRIPT_RUNNER_H_
