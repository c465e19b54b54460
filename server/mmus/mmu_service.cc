#include "server/mmus/mmu_service.h"

#include <algorithm>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "domain/smmu/mmu_types.h"
#include "domain/smmu/secondary_mmus.h"
#include "domain/vm/domain.h"
#include "server/calls/find_domain.h"
#include "server/calls/open_stream.h"
#include "server/calls/stream_call.h"
#include "server/calls/unary_call.h"
#include "server/convert/argument.h"
#include "server/machine/events.h"
#include "server/mmus/convert_mmu.h"
#include "server/mmus/mapping_source.h"
#include "server/mmus/mmu_pages.h"
#include "server/mmus/subscribe_call.h"

namespace simvisor::server {
namespace {

constexpr uint32_t kMaxSampleMs = 10000;
constexpr uint32_t kDefaultSampleMs = 1000;

void ToProto(const SecondaryMmus::YoungAnswer& answer,
             v1::SampleAccessedResponse* out) {
  for (const auto& [first, end] : answer.young.extents()) {
    if (out->young_size() == static_cast<int>(MmuLimits::kMaxYoungRuns)) {
      out->set_truncated(true);
      break;
    }
    server::ToProto(PfnExtent{first, end - first}, out->add_young());
  }
  out->set_asked(answer.asked);
  out->set_silent(answer.silent);
}

}  // namespace

RawBidiReactor* SecondaryMmuServiceImpl::Subscribe(
    grpc::CallbackServerContext* context) {
  return OpenStream<SubscribeCall>(runner_, "Subscribe", runner_, context);
}

grpc::ServerUnaryReactor* SecondaryMmuServiceImpl::ListSecondaryMmus(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto list = [this](const v1::ListSecondaryMmusRequest& request,
                     v1::ListSecondaryMmusResponse* response, StopCheck) {
    return FillMmuPage(runner_->machine, request, response);
  };
  return RunOnPool(runner_, {context, in, out}, "ListSecondaryMmus", list);
}

RawWriteReactor* SecondaryMmuServiceImpl::ListSecondaryMappings(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in) {
  return StartStream(runner_, context, in, "ListSecondaryMappings",
                     [this](const v1::ListSecondaryMappingsRequest& request) {
                       return MappingSource::Create(runner_->machine, request);
                     });
}

grpc::ServerUnaryReactor* SecondaryMmuServiceImpl::SampleAccessed(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto sample = [this](const v1::SampleAccessedRequest& request,
                       v1::SampleAccessedResponse* response,
                       StopCheck stop) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(
        CheckAtMost("wait_ms", request.wait_ms(), kMaxSampleMs));
    SIMVISOR_ASSIGN_OR_RETURN(const PfnExtent pfns,
                              FromProto("pfns", request.pfns()));
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindForChange(runner_->host(), request.domain()));
    const uint32_t wait_ms =
        request.wait_ms() == 0 ? kDefaultSampleMs : request.wait_ms();
    SIMVISOR_ASSIGN_OR_RETURN(
        const SecondaryMmus::YoungAnswer answer,
        domain->mmus().SampleAccessed({.name = "sample accessed", .stop = stop},
                                      pfns, request.clear(),
                                      absl::Milliseconds(wait_ms)));
    ToProto(answer, response);
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "SampleAccessed", sample);
}

grpc::ServerUnaryReactor* SecondaryMmuServiceImpl::FenceSecondaryMmu(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto fence = [this](const v1::FenceSecondaryMmuRequest& request,
                      v1::FenceSecondaryMmuResponse*, StopCheck) {
    return runner_->machine.mmus().Fence(
        "fence", SubscriptionId{request.subscription()});
  };
  return RunOnPool(runner_, {context, in, out}, "FenceSecondaryMmu", fence);
}

}  // namespace simvisor::server
