// Time as a script's run sees it, and what can end the run early.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_SCRIPT_RUN_CONTROL_H_
#define SIMVISOR_CLIENT_SCRIPT_RUN_CONTROL_H_

#include "absl/time/time.h"

namespace simvisor::client {

class RunControl {
 public:
  virtual ~RunControl() = default;

  // Time since some moment; never goes back.
  virtual absl::Duration Now() = 0;

  // Waits for `time`; returns early when Interrupted() becomes true.
  virtual void Wait(absl::Duration time) = 0;

  // Whether the steps must end, so that the cleanup steps can run.
  virtual bool Interrupted() = 0;

  // The cleanup steps begin: Interrupted() is false from now on.
  virtual void BeginCleanup() = 0;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SCRIPT_RUN_CONTROL_H_
