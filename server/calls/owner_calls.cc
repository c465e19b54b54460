#include "server/calls/owner_calls.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>

#include <algorithm>
#include <vector>

namespace simvisor::server {

std::shared_ptr<grpc::ServerCredentials> OwnerCredentials() {
  return grpc::experimental::LocalServerCredentials(UDS);
}

std::shared_ptr<grpc::ServerCredentials> OtherCredentials() {
  return grpc::InsecureServerCredentials();
}

bool FromOwner(const grpc::ServerContextBase& context) {
  const std::vector<grpc::string_ref> types =
      context.auth_context()->FindPropertyValues(
          GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
  return std::find(types.begin(), types.end(), "local") != types.end();
}

}  // namespace simvisor::server
