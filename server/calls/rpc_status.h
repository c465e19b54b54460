// The only place where an absl::Status becomes a grpc::Status.
//
// The code passes through unchanged.  Reason and facts travel in a
// google.rpc.Status whose single detail is a google.rpc.ErrorInfo of domain
// "simvisor", in the trailer grpc-status-details-bin.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_CALLS_RPC_STATUS_H_
#define SIMVISOR_SERVER_CALLS_RPC_STATUS_H_

#include <google/protobuf/map.h>
#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"

namespace simvisor::server {

// Domain of every ErrorInfo.
inline constexpr char kErrorDomain[] = "simvisor";

// Messages are cut to this many bytes.  Trailers carry the message twice, once
// percent-encoded, which may triple it, and clients refuse trailers above 8
// KiB.
inline constexpr size_t kMaxMessageBytes = 1024;

// The same of each entry of the metadata.
inline constexpr size_t kMaxFactBytes = 128;

// What clients are told about an error.  The message is made printable, since
// it may quote what a client sent.  A status without a reason is a bug of ours
// and gets the reason INTERNAL.
std::string ToldMessage(const absl::Status& status);
std::string ToldReason(const absl::Status& status);
void TellFacts(const absl::Status& status,
               google::protobuf::Map<std::string, std::string>* metadata);

grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_RPC_STATUS_H_
