#include "server/calls/call_limits.h"

#include "base/error.h"

namespace simvisor::server {

absl::Status StopStatus(bool cancelled, WallTime now, WallTime deadline) {
  if (now >= deadline) {
    return MakeError(absl::StatusCode::kDeadlineExceeded,
                     Reason::kDeadlineExceeded,
                     "the call's deadline passed before it was done; call "
                     "again with a later one");
  }
  if (cancelled) {
    return MakeError(absl::StatusCode::kCancelled, Reason::kCancelled,
                     "the call was cancelled before it was done");
  }
  return absl::OkStatus();
}

}  // namespace simvisor::server
