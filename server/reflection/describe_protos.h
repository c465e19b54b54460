// Answers server reflection requests from the descriptors that are compiled
// into the program.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_REFLECTION_DESCRIBE_PROTOS_H_
#define SIMVISOR_SERVER_REFLECTION_DESCRIBE_PROTOS_H_

#include <string>

#include "absl/types/span.h"
#include "grpc/reflection/v1alpha/reflection.pb.h"

namespace simvisor::server {

// Answers `request`; if it cannot be answered, the response has an error.  A
// file is sent with all its imports.
void DescribeProtos(
    absl::Span<const std::string> services,
    const grpc::reflection::v1alpha::ServerReflectionRequest& request,
    grpc::reflection::v1alpha::ServerReflectionResponse* response);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_REFLECTION_DESCRIBE_PROTOS_H_
