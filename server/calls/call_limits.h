// When a call must stop before it is done.
//
// Thread safety: CallLimits may be used from one thread at a time; the others
// are pure functions.

#ifndef SIMVISOR_SERVER_CALLS_CALL_LIMITS_H_
#define SIMVISOR_SERVER_CALLS_CALL_LIMITS_H_

#include <grpcpp/server_context.h>

#include <chrono>

#include "absl/status/status.h"

namespace simvisor::server {

using WallTime = std::chrono::system_clock::time_point;

// DEADLINE_EXCEEDED once `now` has reached `deadline`, else CANCELLED if the
// call is cancelled, else OK.  The deadline is checked first because gRPC also
// cancels a call whose deadline passes.
absl::Status StopStatus(bool cancelled, WallTime now, WallTime deadline);

// Watches one call; a StopCheck.
class CallLimits {
 public:
  // REQUIRES: `context` outlives this object: the call is finished only after
  // the last use.
  explicit CallLimits(const grpc::CallbackServerContext* context)
      : context_(context), deadline_(context->deadline()) {}

  absl::Status operator()() const {
    return StopStatus(context_->IsCancelled(), std::chrono::system_clock::now(),
                      deadline_);
  }

 private:
  const grpc::CallbackServerContext* const context_;
  const WallTime deadline_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_CALL_LIMITS_H_
