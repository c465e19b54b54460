// Server reflection (grpc.reflection.v1alpha): tells clients which services
// exist, and what their messages look like.
//
// gRPC's own implementation would block a thread for each open stream.
//
// Thread safety: thread-safe; gRPC calls the method from its own threads.

#ifndef SIMVISOR_SERVER_REFLECTION_REFLECTION_SERVICE_H_
#define SIMVISOR_SERVER_REFLECTION_REFLECTION_SERVICE_H_

#include <grpcpp/server_context.h>

#include <string>
#include <vector>

#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "server/calls/call_runner.h"
#include "server/calls/raw_service.h"

namespace simvisor::server {

using ReflectionServiceBase =
    RawService<grpc::reflection::v1alpha::ServerReflection,
               grpc::reflection::v1alpha::ServerReflection::
                   WithRawCallbackMethod_ServerReflectionInfo>;

class ReflectionServiceImpl final : public ReflectionServiceBase {
 public:
  // `runner` outlives the server that this service is registered with.
  // `services` are the full names of the server's services.
  ReflectionServiceImpl(CallRunner* runner, std::vector<std::string> services)
      : runner_(runner), services_(std::move(services)) {}

  RawBidiReactor* ServerReflectionInfo(
      grpc::CallbackServerContext* context) override;

 private:
  CallRunner* const runner_;
  const std::vector<std::string> services_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_REFLECTION_REFLECTION_SERVICE_H_
