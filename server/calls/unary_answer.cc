#include "server/calls/unary_answer.h"

#include <utility>

#include "absl/status/statusor.h"
#include "server/calls/rpc_status.h"

namespace simvisor::server {

absl::Status UnaryAnswer::Enter(OpenCalls& open_calls, const char* method) {
  absl::StatusOr<OpenCalls::Place> place =
      open_calls.Enter(method, CallKind::kUnary);
  if (!place.ok()) {
    // Calls whose clients do not read hold places too.
    budget_.unsent().CancelOverdue();
    return place.status();
  }
  place_ = *std::move(place);
  return absl::OkStatus();
}

void UnaryAnswer::Send(const absl::Status& status,
                       const grpc::ByteBuffer& answer) {
  budget_.unsent().Add(&unsent_, status.ok() ? answer.Length() : 0);
  Finish(ToGrpcStatus(status));
}

}  // namespace simvisor::server
