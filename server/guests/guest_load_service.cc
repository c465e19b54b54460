#include "server/guests/guest_load_service.h"

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "domain/units/units.h"
#include "domain/vm/domain_types.h"
#include "server/calls/find_domain.h"
#include "server/calls/unary_call.h"
#include "server/guests/convert_guest_load.h"
#include "server/threads/job_scope.h"

namespace simvisor::server {
namespace {

// Longest list in a response, as the API states it.
constexpr size_t kMaxExtents = 65536;

}  // namespace

grpc::ServerUnaryReactor* GuestLoadServiceImpl::StartGuestLoad(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto start = [this](const v1::StartGuestLoadRequest& request,
                      v1::StartGuestLoadResponse* response,
                      StopCheck) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const LoadSpec spec, FromProto(request.spec()));
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(runner_->host(), request.domain()));
    SIMVISOR_RETURN_IF_ERROR(
        JobScope::BeginWork(spec.working_set <= kShortPages));
    SIMVISOR_ASSIGN_OR_RETURN(
        const LoadReport report,
        runner_->machine.Change(domain, [&](Domain& guest) {
          return guest.load().Start({"start a load"}, spec);
        }));
    ToProto(report, response->mutable_load());
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "StartGuestLoad", start);
}

grpc::ServerUnaryReactor* GuestLoadServiceImpl::GetGuestLoad(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto get = [this](const v1::GetGuestLoadRequest& request,
                    v1::GetGuestLoadResponse* response,
                    StopCheck) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(runner_->host(), request.domain()));
    std::vector<PfnExtent> extents;
    SIMVISOR_ASSIGN_OR_RETURN(
        const LoadReport report,
        domain->load().ListPages(request.first_page(), kMaxExtents, extents));
    ToProto(report, response->mutable_load());
    for (const PfnExtent& pfns : extents) {
      v1::PfnExtent* pages = response->add_pages();
      pages->set_first_pfn(pfns.first.value());
      pages->set_count(pfns.count.value());
    }
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "GetGuestLoad", get);
}

grpc::ServerUnaryReactor* GuestLoadServiceImpl::StopGuestLoad(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto end = [this](const v1::StopGuestLoadRequest& request,
                    v1::StopGuestLoadResponse* response,
                    StopCheck) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(runner_->host(), request.domain()));
    SIMVISOR_RETURN_IF_ERROR(
        JobScope::BeginWork(GuestPages(*domain) <= kShortPages));
    SIMVISOR_ASSIGN_OR_RETURN(const LoadReport report,
                              domain->load().Stop({"stop its load"}));
    ToProto(report, response->mutable_load());
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "StopGuestLoad", end);
}

grpc::ServerUnaryReactor* GuestLoadServiceImpl::CheckGuestLoad(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto check = [this](const v1::CheckGuestLoadRequest& request,
                      v1::CheckGuestLoadResponse* response,
                      StopCheck stop) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              LookUpDomain(runner_->host(), request.domain()));
    SIMVISOR_ASSIGN_OR_RETURN(const LoadCheck found,
                              domain->load().Check({"check its load", stop}));
    ToProto(found, response);
    return absl::OkStatus();
  };
  return RunLong(runner_, {context, in, out}, "CheckGuestLoad", check);
}

}  // namespace simvisor::server
