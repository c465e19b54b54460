// DomainService of the API.  See its .proto for the contract of each method.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_DOMAIN_SERVICE_H_
#define SIMVISOR_SERVER_DOMAIN_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "domain/host/host.h"
#include "server/call_runner.h"
#include "server/find_domain.h"
#include "simvisor/v1/domain_service.grpc.pb.h"

namespace simvisor::server {

class DomainServiceImpl final : public v1::DomainService::CallbackService {
 public:
  // Both outlive the server that this service is registered with.
  DomainServiceImpl(Host* host, CallRunner* runner)
      : host_(host), runner_(runner) {}

  grpc::ServerUnaryReactor* CreateDomain(
      grpc::CallbackServerContext* context,
      const v1::CreateDomainRequest* request,
      v1::CreateDomainResponse* response) override;
  grpc::ServerUnaryReactor* GetDomain(grpc::CallbackServerContext* context,
                                      const v1::GetDomainRequest* request,
                                      v1::GetDomainResponse* response) override;
  grpc::ServerUnaryReactor* ListDomains(
      grpc::CallbackServerContext* context,
      const v1::ListDomainsRequest* request,
      v1::ListDomainsResponse* response) override;
  grpc::ServerUnaryReactor* DestroyDomain(
      grpc::CallbackServerContext* context,
      const v1::DestroyDomainRequest* request,
      v1::DestroyDomainResponse* response) override;
  grpc::ServerUnaryReactor* PauseDomain(
      grpc::CallbackServerContext* context,
      const v1::PauseDomainRequest* request,
      v1::PauseDomainResponse* response) override;
  grpc::ServerUnaryReactor* UnpauseDomain(
      grpc::CallbackServerContext* context,
      const v1::UnpauseDomainRequest* request,
      v1::UnpauseDomainResponse* response) override;
  grpc::ServerUnaryReactor* RenameDomain(
      grpc::CallbackServerContext* context,
      const v1::RenameDomainRequest* request,
      v1::RenameDomainResponse* response) override;
  grpc::ServerUnaryReactor* SetVcpuAffinity(
      grpc::CallbackServerContext* context,
      const v1::SetVcpuAffinityRequest* request,
      v1::SetVcpuAffinityResponse* response) override;
  grpc::ServerUnaryReactor* ListVcpus(grpc::CallbackServerContext* context,
                                      const v1::ListVcpusRequest* request,
                                      v1::ListVcpusResponse* response) override;

 private:
  // For RunQuick(), of methods that only need the domain to be idle.
  auto IfIdle(const auto* request) const {
    return [this, request] {
      return PagesIfIdle(*host_, *runner_->faults, request->domain())
          .has_value();
    };
  }

  Host* const host_;
  CallRunner* const runner_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_DOMAIN_SERVICE_H_
