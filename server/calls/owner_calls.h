// Which calls come from the daemon's owner: its user, or root, on one of its
// unix sockets.
//
// gRPC tells a call nothing of its socket except the credentials that the
// server had for it.  So connections of the owner are given to a server port
// with credentials of their own, and a call is asked which credentials it came
// under.  Neither kind changes what is sent.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_CALLS_OWNER_CALLS_H_
#define SIMVISOR_SERVER_CALLS_OWNER_CALLS_H_

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_context.h>

#include <memory>

namespace simvisor::server {

// For connections of the owner.  gRPC closes them if they are not unix sockets.
std::shared_ptr<grpc::ServerCredentials> OwnerCredentials();
// For all others.
std::shared_ptr<grpc::ServerCredentials> OtherCredentials();

// Whether the call came on a connection under OwnerCredentials().
bool FromOwner(const grpc::ServerContextBase& context);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_OWNER_CALLS_H_
