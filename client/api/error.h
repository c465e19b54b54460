// The only translation from gRPC's status to absl::Status.
//
// Codes pass through unchanged; messages and reasons become Printable(), since
// they may come from a peer.  The google.rpc.ErrorInfo detail of a server's
// error is kept as a payload, so that ReasonOf() finds the stable reason.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_API_ERROR_H_
#define SIMVISOR_CLIENT_API_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/support/status.h"

namespace simvisor::client {

// Translates the final `status` of a call to the daemon at `address`.
//
// If the daemon cannot be reached, gRPC's sentence about subchannels becomes
// "cannot reach ADDRESS: CAUSE; is simvisord running?".
absl::Status FromGrpc(const grpc::Status& status, absl::string_view address);

// The server's reason, such as "DOMAIN_NOT_FOUND"; empty if it gave none.
std::string ReasonOf(const absl::Status& status);

// "MESSAGE (REASON)" for people.  Without a reason, uses the name of the code
// instead, unless the error is the client's own.
std::string Describe(const absl::Status& status);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_ERROR_H_
