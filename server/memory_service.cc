#include "server/memory_service.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "domain/domain/domain_types.h"
#include "domain/units/status_macros.h"
#include "domain/units/units.h"
#include "server/argument.h"
#include "server/convert_common.h"
#include "server/convert_domain.h"
#include "server/convert_memory.h"
#include "server/find_domain.h"
#include "server/memory_ops.h"
#include "server/memory_ops_call.h"
#include "server/p2m_run_source.h"
#include "server/stream_call.h"
#include "server/unary_call.h"

namespace simvisor::server {
namespace {

constexpr uint64_t kMaxSlots = 65536;

// Does `Op` of memory_ops.h on the domain that the request names.
template <typename Op, typename Request, typename Response>
grpc::ServerUnaryReactor* RunOp(Host* host, CallRunner* runner,
                                grpc::CallbackServerContext* context,
                                const char* method, const Request* request,
                                Response* response) {
  auto run = [=](StopCheck stop) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(*host, request->domain()));
    return Op()({*runner, domain, stop}, *request, response);
  };
  if constexpr (requires { Op::IsQuick(*request, PageCount(0)); }) {
    const auto is_quick = [=] {
      const std::optional<PageCount> pages =
          PagesIfIdle(*host, *runner->faults, request->domain());
      return pages.has_value() && Op::IsQuick(*request, *pages);
    };
    return RunQuick(runner, context, method, is_quick, run);
  } else {
    return RunOnPool(runner, context, method, run);
  }
}

}  // namespace

grpc::ServerUnaryReactor* MemoryServiceImpl::BalloonDown(
    grpc::CallbackServerContext* context, const v1::BalloonDownRequest* request,
    v1::BalloonDownResponse* response) {
  return RunOp<memory_ops::BalloonDown>(host_, runner_, context, "BalloonDown",
                                        request, response);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::BalloonUp(
    grpc::CallbackServerContext* context, const v1::BalloonUpRequest* request,
    v1::BalloonUpResponse* response) {
  return RunOp<memory_ops::BalloonUp>(host_, runner_, context, "BalloonUp",
                                      request, response);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::SetMemoryTarget(
    grpc::CallbackServerContext* context,
    const v1::SetMemoryTargetRequest* request,
    v1::SetMemoryTargetResponse* response) {
  return RunOp<memory_ops::SetTarget>(host_, runner_, context,
                                      "SetMemoryTarget", request, response);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::SetMaxMemory(
    grpc::CallbackServerContext* context,
    const v1::SetMaxMemoryRequest* request,
    v1::SetMaxMemoryResponse* response) {
  auto set = [this, request, response](StopCheck) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(*host_, request->domain()));
    SIMVISOR_RETURN_IF_ERROR(
        domain->SetMaxMemory(PageCount(request->max_pages())));
    ToProto(domain->Info().memory, response->mutable_memory());
    return absl::OkStatus();
  };
  return RunOnPool(runner_, context, "SetMaxMemory", set);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::MarkIdentityRange(
    grpc::CallbackServerContext* context,
    const v1::MarkIdentityRangeRequest* request,
    v1::MarkIdentityRangeResponse* response) {
  return RunOp<memory_ops::MarkIdentity>(
      host_, runner_, context, "MarkIdentityRange", request, response);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::SetP2mRange(
    grpc::CallbackServerContext* context, const v1::SetP2mRangeRequest* request,
    v1::SetP2mRangeResponse* response) {
  return RunOp<memory_ops::SetRange>(host_, runner_, context, "SetP2mRange",
                                     request, response);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::TranslatePfns(
    grpc::CallbackServerContext* context,
    const v1::TranslatePfnsRequest* request,
    v1::TranslatePfnsResponse* response) {
  return RunOp<memory_ops::Translate>(host_, runner_, context, "TranslatePfns",
                                      request, response);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::TranslateMfns(
    grpc::CallbackServerContext* context,
    const v1::TranslateMfnsRequest* request,
    v1::TranslateMfnsResponse* response) {
  auto translate = [this, request, response](StopCheck) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(
        CheckListSize("mfns", request->mfns_size(), memory_ops::kMaxPfns));
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(*host_, request->domain()));
    std::vector<MfnTranslation> answers;
    SIMVISOR_RETURN_IF_ERROR(domain->TranslateMfns(
        absl::MakeConstSpan(request->mfns().data(), request->mfns_size()),
        answers));
    ToProto(answers, response);
    return absl::OkStatus();
  };
  return RunOnPool(runner_, context, "TranslateMfns", translate);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::MapForeignFrames(
    grpc::CallbackServerContext* context,
    const v1::MapForeignFramesRequest* request,
    v1::MapForeignFramesResponse* response) {
  auto map = [this, request, response](StopCheck stop) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(
        CheckListSize("slots", request->slots_size(), kMaxSlots));
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(*host_, request->domain()));
    std::vector<ForeignSlot> slots;
    slots.reserve(request->slots_size());
    for (const v1::ForeignSlot& slot : request->slots()) {
      slots.push_back({Pfn(slot.pfn()), Mfn(slot.mfn())});
    }
    ForeignReport report;
    SIMVISOR_RETURN_IF_ERROR(domain->MapForeign(slots, stop, report));
    ToProto(report, response);
    return absl::OkStatus();
  };
  return RunOnPool(runner_, context, "MapForeignFrames", map);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::UnmapForeignFrames(
    grpc::CallbackServerContext* context,
    const v1::UnmapForeignFramesRequest* request,
    v1::UnmapForeignFramesResponse* response) {
  auto unmap = [this, request, response](StopCheck stop) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(
        CheckListSize("pfns", request->pfns_size(), kMaxSlots));
    SIMVISOR_ASSIGN_OR_RETURN(const DomainSelector selector,
                              FromProto(request->domain()));
    ForeignReport report;
    SIMVISOR_RETURN_IF_ERROR(host_->UnmapForeign(
        selector,
        absl::MakeConstSpan(request->pfns().data(), request->pfns_size()), stop,
        report));
    ToProto(report, response);
    return absl::OkStatus();
  };
  return RunOnPool(runner_, context, "UnmapForeignFrames", unmap);
}

grpc::ServerWriteReactor<v1::ListP2mRunsResponse>*
MemoryServiceImpl::ListP2mRuns(grpc::CallbackServerContext* context,
                               const v1::ListP2mRunsRequest* request) {
  return StartStream<v1::ListP2mRunsResponse>(
      runner_, context, "ListP2mRuns",
      [this, request] { return P2mRunSource::Create(*host_, *request); });
}

grpc::ServerUnaryReactor* MemoryServiceImpl::GetP2mSummary(
    grpc::CallbackServerContext* context,
    const v1::GetP2mSummaryRequest* request,
    v1::GetP2mSummaryResponse* response) {
  auto summarise = [this, request, response](StopCheck) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(*host_, request->domain()));
    SIMVISOR_ASSIGN_OR_RETURN(const P2mReport report, domain->Summary());
    ToProto(report, response->mutable_summary());
    return absl::OkStatus();
  };
  return RunOnPool(runner_, context, "GetP2mSummary", summarise);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::GetMfnListList(
    grpc::CallbackServerContext* context,
    const v1::GetMfnListListRequest* request,
    v1::GetMfnListListResponse* response) {
  auto get = [this, request, response](StopCheck) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(*host_, request->domain()));
    SIMVISOR_ASSIGN_OR_RETURN(const MfnListList list,
                              domain->FindMfnListList());
    ToProto(list, host_->max_mfn(), response);
    return absl::OkStatus();
  };
  return RunOnPool(runner_, context, "GetMfnListList", get);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::ReadGuestMemory(
    grpc::CallbackServerContext* context,
    const v1::ReadGuestMemoryRequest* request,
    v1::ReadGuestMemoryResponse* response) {
  auto read = [this, request, response](StopCheck) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(CheckAtMost(
        "length_bytes", request->length_bytes(), memory_ops::kMaxGuestBytes));
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(*host_, request->domain()));
    std::string data(request->length_bytes(), '\0');
    SIMVISOR_RETURN_IF_ERROR(domain->ReadMemory(
        Pfn(request->pfn()), request->offset_bytes(), absl::MakeSpan(data)));
    response->set_data(std::move(data));
    return absl::OkStatus();
  };
  return RunOnPool(runner_, context, "ReadGuestMemory", read);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::WriteGuestMemory(
    grpc::CallbackServerContext* context,
    const v1::WriteGuestMemoryRequest* request,
    v1::WriteGuestMemoryResponse* response) {
  return RunOp<memory_ops::Write>(host_, runner_, context, "WriteGuestMemory",
                                  request, response);
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>*
MemoryServiceImpl::StreamMemoryOps(grpc::CallbackServerContext* context) {
  auto* const call = new MemoryOpsCall(host_, runner_, context);
  call->Start();
  return call;
}

}  // namespace simvisor::server
