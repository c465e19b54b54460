// The error for a failed check of a walk.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_WALK_WALK_FAULT_H_
#define SIMVISOR_CLIENT_WALK_WALK_FAULT_H_

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "client/api/own_reason.h"

namespace simvisor::client {

// FAILED_PRECONDITION CHECK_FAILED with a printf-style message.
template <typename... Args>
absl::Status WalkFault(const absl::FormatSpec<Args...>& format,
                       const Args&... args) {
  return WithReason(
      absl::FailedPreconditionError(absl::StrFormat(format, args...)),
      OwnReason::kCheckFailed);
}

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_WALK_WALK_FAULT_H_
