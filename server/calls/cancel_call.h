// Ends a call that waits for its client, with a status of our choice.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_SERVER_CALLS_CANCEL_CALL_H_
#define SIMVISOR_SERVER_CALLS_CANCEL_CALL_H_

#include <grpc/grpc.h>
#include <grpcpp/server_context.h>

#include "absl/status/status.h"

namespace simvisor::server {

// Cancels a call whose write waits for the client to read.  The client gets the
// code and message of `status` even though it has not read everything before
// them, but not the error reason, which is sent only after that.  The caller
// must still finish the call.
// REQUIRES: the call is not finished yet.
void CancelCall(grpc::CallbackServerContext* context,
                const absl::Status& status);
// The same for a call that may be finished already.
// REQUIRES: the caller holds a reference to the call.
void CancelCall(grpc_call* call, const absl::Status& status);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_CANCEL_CALL_H_
