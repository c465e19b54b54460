// What a check of a walk says when it does not hold.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_WALK_WALK_FAULT_H_
#define SIMVISOR_CLIENT_WALK_WALK_FAULT_H_

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

namespace simvisor::client {

// FAILED_PRECONDITION with a message of printf's form.
template <typename... Args>
absl::Status WalkFault(const absl::FormatSpec<Args...>& format,
                       const Args&... args) {
  return absl::FailedPreconditionError(absl::StrFormat(format, args...));
}

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_WALK_WALK_FAULT_H_
