// DomainService of the API.  See its .proto for the contract of each method.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_DOMAINS_DOMAIN_SERVICE_H_
#define SIMVISOR_SERVER_DOMAINS_DOMAIN_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "server/calls/call_runner.h"
#include "server/calls/find_domain.h"
#include "server/calls/raw_service.h"
#include "simvisor/v1/domain_service.grpc.pb.h"

namespace simvisor::server {

using DomainServiceBase =
    RawService<v1::DomainService,
               v1::DomainService::WithRawCallbackMethod_CreateDomain,
               v1::DomainService::WithRawCallbackMethod_GetDomain,
               v1::DomainService::WithRawCallbackMethod_ListDomains,
               v1::DomainService::WithRawCallbackMethod_DestroyDomain,
               v1::DomainService::WithRawCallbackMethod_PauseDomain,
               v1::DomainService::WithRawCallbackMethod_UnpauseDomain,
               v1::DomainService::WithRawCallbackMethod_RenameDomain,
               v1::DomainService::WithRawCallbackMethod_SetVcpuAffinity,
               v1::DomainService::WithRawCallbackMethod_ListVcpus>;

class DomainServiceImpl final : public DomainServiceBase {
 public:
  // `runner` outlives the server that this service is registered with.
  explicit DomainServiceImpl(CallRunner* runner) : runner_(runner) {}

  grpc::ServerUnaryReactor* CreateDomain(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* in,
                                         grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* GetDomain(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* in,
                                      grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* ListDomains(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* in,
                                        grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* DestroyDomain(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* in,
                                          grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* PauseDomain(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* in,
                                        grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* UnpauseDomain(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* in,
                                          grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* RenameDomain(grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* in,
                                         grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* SetVcpuAffinity(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* ListVcpus(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* in,
                                      grpc::ByteBuffer* out) override;

 private:
  // For RunQuick() of methods that only need the domain to be idle.
  auto IfIdle() const {
    return [this](const auto& request) {
      return PagesIfIdle(runner_->machine, request.domain()).has_value();
    };
  }

  CallRunner* const runner_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_DOMAINS_DOMAIN_SERVICE_H_
