// Calls a method that is known by its descriptor only.
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

// Sends `request` to `method` and waits for its end.  Every response, of which
// a server-streaming method has any number, is merged into `response` in order.
// REQUIRES: the method takes requests of the type of `request`, and its
// responses are of the type of `response`.
grpc::Status GenericCall(const std::shared_ptr<grpc::Channel>& channel,
                         grpc::ClientContext& context,
                         const google::protobuf::MethodDescriptor& method,
                         const google::protobuf::Message& request,
                         google::protobuf::Message& response);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_GENERIC_CALL_H_
