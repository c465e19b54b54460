#include "server/domains/domain_service.h"

#include <algorithm>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "domain/units/domain_identity.h"
#include "domain/vm/domain_types.h"
#include "server/calls/find_domain.h"
#include "server/calls/unary_call.h"
#include "server/convert/argument.h"
#include "server/convert/domain.h"
#include "server/convert/vcpus.h"
#include "server/domains/domain_pages.h"
#include "server/domains/vcpu_pages.h"
#include "server/machine/events.h"
#include "server/threads/job_scope.h"

namespace simvisor::server {

grpc::ServerUnaryReactor* DomainServiceImpl::CreateDomain(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto create = [this](const v1::CreateDomainRequest& request,
                       v1::CreateDomainResponse* response,
                       StopCheck stop) -> absl::Status {
    if (!request.has_spec()) {
      return ArgumentMissing("spec", "describe the domain to build");
    }
    SIMVISOR_ASSIGN_OR_RETURN(const DomainSpec spec, FromProto(request.spec()));
    SIMVISOR_RETURN_IF_ERROR(JobScope::BeginWork(
        std::max(spec.memory, spec.max_memory) <= kShortPages));
    SIMVISOR_ASSIGN_OR_RETURN(
        const std::shared_ptr<Domain> domain,
        runner_->machine.Create(spec, request.start_paused(), stop));
    ToProto(*domain, response->mutable_domain());
    return absl::OkStatus();
  };
  return RunOn(&runner_->builds, runner_, {context, in, out}, "CreateDomain",
               create);
}

grpc::ServerUnaryReactor* DomainServiceImpl::GetDomain(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto get = [this](const v1::GetDomainRequest& request,
                    v1::GetDomainResponse* response,
                    StopCheck) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              LookUpDomain(runner_->host(), request.domain()));
    ToProto(*domain, response->mutable_domain());
    return absl::OkStatus();
  };
  // Reading a domain's info does not wait for its operations.
  const auto is_quick = [this](const auto&) {
    return !runner_->machine.faults().enabled();
  };
  return RunQuick(runner_, {context, in, out}, "GetDomain", is_quick, get);
}

grpc::ServerUnaryReactor* DomainServiceImpl::ListDomains(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto list = [this](const v1::ListDomainsRequest& request,
                     v1::ListDomainsResponse* response, StopCheck) {
    return FillDomainPage(runner_->host(), request, response);
  };
  return RunOnPool(runner_, {context, in, out}, "ListDomains", list);
}

grpc::ServerUnaryReactor* DomainServiceImpl::DestroyDomain(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto destroy = [this](const v1::DestroyDomainRequest& request,
                        v1::DestroyDomainResponse* response,
                        StopCheck) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindForChange(runner_->host(), request.domain()));
    SIMVISOR_RETURN_IF_ERROR(
        JobScope::BeginWork(GuestPages(*domain) <= kShortPages));
    SIMVISOR_ASSIGN_OR_RETURN(const PageCount freed,
                              runner_->machine.Destroy(domain));
    response->set_freed_pages(freed.value());
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "DestroyDomain", destroy);
}

grpc::ServerUnaryReactor* DomainServiceImpl::PauseDomain(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto pause = [this](const v1::PauseDomainRequest& request,
                      v1::PauseDomainResponse* response,
                      StopCheck) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(runner_->host(), request.domain()));
    SIMVISOR_ASSIGN_OR_RETURN(const DomainState state,
                              domain->Pause({"pause"}));
    LogEvent(*domain, [] { return "paused"; });
    response->set_state(ToProto(state));
    return absl::OkStatus();
  };
  return RunQuick(runner_, {context, in, out}, "PauseDomain", IfIdle(), pause);
}

grpc::ServerUnaryReactor* DomainServiceImpl::UnpauseDomain(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto unpause = [this](const v1::UnpauseDomainRequest& request,
                        v1::UnpauseDomainResponse* response,
                        StopCheck stop) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindForChange(runner_->host(), request.domain()));
    SIMVISOR_RETURN_IF_ERROR(
        JobScope::BeginWork(GuestPages(*domain) <= kShortPages));
    SIMVISOR_ASSIGN_OR_RETURN(
        const DomainState state,
        runner_->machine.Change(domain, [&](Domain& guest) {
          return guest.Unpause({"unpause", stop});
        }));
    LogEvent(*domain, [] { return "unpaused"; });
    response->set_state(ToProto(state));
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "UnpauseDomain", unpause);
}

grpc::ServerUnaryReactor* DomainServiceImpl::RenameDomain(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto rename = [this](const v1::RenameDomainRequest& request,
                       v1::RenameDomainResponse* response,
                       StopCheck) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const DomainSelector selector,
                              FromProto(request.domain()));
    // Only for the log: another call may rename it between the two.
    const auto found = runner_->host().Find(selector);
    const std::string before = found.ok() ? (*found)->name() : "";
    SIMVISOR_ASSIGN_OR_RETURN(
        const std::shared_ptr<Domain> domain,
        runner_->host().RenameDomain(selector, request.new_name()));
    LogEvent([&] {
      return absl::StrCat(DomainText(before, domain->id()), ": renamed to ",
                          request.new_name());
    });
    ToProto(*domain, response->mutable_domain());
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "RenameDomain", rename);
}

grpc::ServerUnaryReactor* DomainServiceImpl::SetVcpuAffinity(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto set = [this](const v1::SetVcpuAffinityRequest& request,
                    v1::SetVcpuAffinityResponse*, StopCheck) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const AffinityChange change, FromProto(request));
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              LookUpDomain(runner_->host(), request.domain()));
    return domain->vcpus().SetAffinity(
        change.vcpus, change.hard.has_value() ? &*change.hard : nullptr,
        change.soft.has_value() ? &*change.soft : nullptr);
  };
  return RunOnPool(runner_, {context, in, out}, "SetVcpuAffinity", set);
}

grpc::ServerUnaryReactor* DomainServiceImpl::ListVcpus(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto list = [this](const v1::ListVcpusRequest& request,
                     v1::ListVcpusResponse* response,
                     StopCheck stop) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              LookUpDomain(runner_->host(), request.domain()));
    return FillVcpuPage(*domain, request, stop, response);
  };
  return RunOnPool(runner_, {context, in, out}, "ListVcpus", list);
}

}  // namespace simvisor::server
