// The only translation from gRPC's status to absl::Status.
//
// Codes pass through unchanged; messages and reasons become Printable(), since
// they may come from a peer.  The google.rpc.ErrorInfo detail of a server's
// error is kept as a payload, so that ReasonOf() finds the stable reason.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_API_ERROR_H_
#define SIMVISOR_CLIENT_API_ERROR_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/support/status.h"

namespace simvisor::client {

// Translates the final `status` of a call to the daemon at `address`.
//
// If the daemon cannot be reached, gRPC's sentence about subchannels becomes
// "cannot reach ADDRESS: CAUSE; is simvisord running?".
//
// `method`, such as "CreateDomain", is what was called.  If the call has timed
// out and the method may change something, the message says that it may have
// done so, and where to look.
absl::Status FromGrpc(const grpc::Status& status, absl::string_view address,
                      absl::string_view method = "");

// The reason of the server, or of the machine's library, such as
// "DOMAIN_NOT_FOUND"; empty for an error without one.
std::string ReasonOf(const absl::Status& status);

// Whether a call returned `status`, rather than the client; false if the daemon
// could not be reached.
bool IsOfCall(const absl::Status& status);

// The metadata of the server, or of the machine's library, by name; may be
// empty.
std::map<std::string, std::string> MetadataOf(const absl::Status& status);

// The same error, with its reason and metadata, but with another message.
// REQUIRES: `status` is not OK.
absl::Status WithMessage(const absl::Status& status, absl::string_view message);

// "MESSAGE (CODE REASON)" for people; without the reason if the server gave
// none, and only the message if the error is the client's own.
std::string Describe(const absl::Status& status);
// The same of an error inside a response; `code` and `reason` may be empty.
std::string DescribeError(absl::string_view message, absl::string_view code,
                          absl::string_view reason);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_ERROR_H_
