// Calls a method that is known only by its descriptor.
//
// Thread safety: the function may be called from any thread.

#ifndef SIMVISOR_CLIENT_API_GENERIC_CALL_H_
#define SIMVISOR_CLIENT_API_GENERIC_CALL_H_

#include <memory>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"

namespace simvisor::client {

// Sends `request` to `method` and waits for the call to end.  Merges every
// response into `response` in order; a server-streaming method may have any
// number of them.
// REQUIRES: `request` and `response` have the method's types.
grpc::Status GenericCall(const std::shared_ptr<grpc::Channel>& channel,
                         grpc::ClientContext& context,
                         const google::protobuf::MethodDescriptor& method,
                         const google::protobuf::Message& request,
                         google::protobuf::Message& response);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_GENERIC_CALL_H_
