// Ends a call that waits for its client, with a code of ours.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_SERVER_CALLS_CANCEL_CALL_H_
#define SIMVISOR_SERVER_CALLS_CANCEL_CALL_H_

#include <grpc/grpc.h>
#include <grpcpp/server_context.h>

#include "absl/status/status.h"

namespace simvisor::server {

// Cancels a call whose write waits for the client to read.  The client is told
// code and message of `status`, past what it has not read, but not the reason,
// which travels only behind that.  The call must be finished all the same.
// REQUIRES: it is not finished yet.
void CancelCall(grpc::CallbackServerContext* context,
                const absl::Status& status);
// The same, finished or not.  REQUIRES: the caller has a reference to the call.
void CancelCall(grpc_call* call, const absl::Status& status);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_CANCEL_CALL_H_
