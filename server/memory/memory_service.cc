#include "server/memory/memory_service.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "domain/units/units.h"
#include "domain/vm/domain_types.h"
#include "server/calls/find_domain.h"
#include "server/calls/open_stream.h"
#include "server/calls/stream_call.h"
#include "server/calls/unary_call.h"
#include "server/convert/argument.h"
#include "server/convert/common.h"
#include "server/convert/domain.h"
#include "server/memory/change_operation.h"
#include "server/memory/convert_memory.h"
#include "server/memory/memory_ops.h"
#include "server/memory/memory_ops_call.h"
#include "server/memory/p2m_run_source.h"
#include "server/threads/job_scope.h"

namespace simvisor::server {
namespace {

constexpr uint64_t kMaxSlots = 65536;
// More is long work.
constexpr int kShortSlots = 4096;

// The body of a method that runs `Op` of memory_ops.h on the domain that its
// request names.
template <typename Op, typename Request, typename Response>
auto BodyOf(CallRunner* runner) {
  return [runner](const Request& request, Response* response,
                  StopCheck stop) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              LookUpDomain(runner->host(), request.domain()));
    if (Op::kChangesWords) {
      SIMVISOR_RETURN_IF_ERROR(JobScope::BeginChange(*domain));
    }
    if (Op::NeedsLock(*domain)) {
      SIMVISOR_RETURN_IF_ERROR(JobScope::Enter(domain));
    }
    SIMVISOR_RETURN_IF_ERROR(
        JobScope::BeginWork(Op::IsShort(request, GuestPages(*domain))));
    return Op()({runner->machine, domain, stop}, request, response);
  };
}

// For RunQuick() with this body.
template <typename Op>
auto IsQuick(CallRunner* runner) {
  return [runner](const auto& request) {
    const std::optional<PageCount> pages =
        PagesIfIdle(runner->machine, request.domain());
    return pages.has_value() && Op::IsQuick(request, *pages);
  };
}

}  // namespace

grpc::ServerUnaryReactor* MemoryServiceImpl::BalloonDown(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  const auto move = BodyOf<memory_ops::BalloonDown, v1::BalloonDownRequest,
                           v1::BalloonDownResponse>(runner_);
  return RunQuick(runner_, {context, in, out}, "BalloonDown",
                  IsQuick<memory_ops::BalloonDown>(runner_), move);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::BalloonUp(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  const auto move = BodyOf<memory_ops::BalloonUp, v1::BalloonUpRequest,
                           v1::BalloonUpResponse>(runner_);
  return RunQuick(runner_, {context, in, out}, "BalloonUp",
                  IsQuick<memory_ops::BalloonUp>(runner_), move);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::SetMemoryTarget(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  const auto set = BodyOf<memory_ops::SetTarget, v1::SetMemoryTargetRequest,
                          v1::SetMemoryTargetResponse>(runner_);
  return RunQuick(runner_, {context, in, out}, "SetMemoryTarget",
                  IsQuick<memory_ops::SetTarget>(runner_), set);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::SetMaxMemory(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto set = [this](const v1::SetMaxMemoryRequest& request,
                    v1::SetMaxMemoryResponse* response,
                    StopCheck) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(runner_->host(), request.domain()));
    DomainMemory memory;
    SIMVISOR_RETURN_IF_ERROR(domain->balloon().SetMaximum(
        {"set maximum memory"}, PageCount(request.max_pages()), &memory));
    ToProto(memory, response->mutable_memory());
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "SetMaxMemory", set);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::MarkIdentityRange(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  const auto mark =
      BodyOf<memory_ops::MarkIdentity, v1::MarkIdentityRangeRequest,
             v1::MarkIdentityRangeResponse>(runner_);
  return RunOnPool(runner_, {context, in, out}, "MarkIdentityRange", mark);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::SetP2mRange(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  const auto set = BodyOf<memory_ops::SetRange, v1::SetP2mRangeRequest,
                          v1::SetP2mRangeResponse>(runner_);
  return RunOnPool(runner_, {context, in, out}, "SetP2mRange", set);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::TranslatePfns(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  const auto translate = BodyOf<memory_ops::Translate, v1::TranslatePfnsRequest,
                                v1::TranslatePfnsResponse>(runner_);
  return RunQuick(runner_, {context, in, out}, "TranslatePfns",
                  IsQuick<memory_ops::Translate>(runner_), translate);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::TranslateMfns(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto translate = [this](const v1::TranslateMfnsRequest& request,
                          v1::TranslateMfnsResponse* response,
                          StopCheck) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(
        CheckListSize("mfns", request.mfns_size(), memory_ops::kMaxPfns));
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(runner_->host(), request.domain()));
    std::vector<MfnTranslation> answers;
    SIMVISOR_RETURN_IF_ERROR(domain->p2m().TranslateMfns(
        absl::MakeConstSpan(request.mfns().data(), request.mfns_size()),
        answers));
    ToProto(answers, response);
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "TranslateMfns", translate);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::MapForeignFrames(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto map = [this](const v1::MapForeignFramesRequest& request,
                    v1::MapForeignFramesResponse* response,
                    StopCheck stop) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(
        CheckListSize("slots", request.slots_size(), kMaxSlots));
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindForChange(runner_->host(), request.domain()));
    SIMVISOR_RETURN_IF_ERROR(
        JobScope::BeginWork(request.slots_size() <= kShortSlots));
    std::vector<ForeignSlot> slots;
    slots.reserve(request.slots_size());
    for (const v1::ForeignSlot& slot : request.slots()) {
      slots.push_back({Pfn(slot.pfn()), Mfn(slot.mfn())});
    }
    ForeignReport report;
    SIMVISOR_RETURN_IF_ERROR(
        domain->p2m().MapForeign({"map foreign", stop}, slots, report));
    ToProto(report, response);
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "MapForeignFrames", map);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::UnmapForeignFrames(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto unmap = [this](const v1::UnmapForeignFramesRequest& request,
                      v1::UnmapForeignFramesResponse* response,
                      StopCheck stop) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(
        CheckListSize("pfns", request.pfns_size(), kMaxSlots));
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindForChange(runner_->host(), request.domain()));
    SIMVISOR_RETURN_IF_ERROR(
        JobScope::BeginWork(request.pfns_size() <= kShortSlots));
    SIMVISOR_ASSIGN_OR_RETURN(
        const Operation operation,
        ChangeOf(request, "unmap foreign", stop, runner_->machine));
    ForeignReport report;
    SIMVISOR_RETURN_IF_ERROR(runner_->host().UnmapForeign(
        operation, domain,
        absl::MakeConstSpan(request.pfns().data(), request.pfns_size()),
        report));
    ToProto(report, response);
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "UnmapForeignFrames", unmap);
}

RawWriteReactor* MemoryServiceImpl::ListP2mRuns(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in) {
  return StartStream(runner_, context, in, "ListP2mRuns",
                     [this](const v1::ListP2mRunsRequest& request) {
                       return P2mRunSource::Create(runner_->host(), request);
                     });
}

grpc::ServerUnaryReactor* MemoryServiceImpl::GetP2mSummary(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto summarise = [this](const v1::GetP2mSummaryRequest& request,
                          v1::GetP2mSummaryResponse* response,
                          StopCheck) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(runner_->host(), request.domain()));
    SIMVISOR_RETURN_IF_ERROR(
        JobScope::BeginWork(GuestPages(*domain) <= kShortPages));
    SIMVISOR_ASSIGN_OR_RETURN(const P2mReport report, domain->p2m().Summary());
    ToProto(report, response->mutable_summary());
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "GetP2mSummary", summarise);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::GetMfnListList(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto get = [this](const v1::GetMfnListListRequest& request,
                    v1::GetMfnListListResponse* response,
                    StopCheck) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(runner_->host(), request.domain()));
    SIMVISOR_ASSIGN_OR_RETURN(const MfnListList list,
                              domain->p2m().FindMfnListList());
    ToProto(list, runner_->host().max_mfn(), response);
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "GetMfnListList", get);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::ReadGuestMemory(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto read = [this](const v1::ReadGuestMemoryRequest& request,
                     v1::ReadGuestMemoryResponse* response,
                     StopCheck) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(CheckAtMost("length_bytes", request.length_bytes(),
                                         memory_ops::kMaxGuestBytes));
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(runner_->host(), request.domain()));
    std::string data(request.length_bytes(), '\0');
    SIMVISOR_RETURN_IF_ERROR(domain->contents().Read(
        Pfn(request.pfn()), request.offset_bytes(), absl::MakeSpan(data)));
    response->set_data(std::move(data));
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "ReadGuestMemory", read);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::WriteGuestMemory(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  const auto write = BodyOf<memory_ops::Write, v1::WriteGuestMemoryRequest,
                            v1::WriteGuestMemoryResponse>(runner_);
  return RunOnPool(runner_, {context, in, out}, "WriteGuestMemory", write);
}

RawBidiReactor* MemoryServiceImpl::StreamMemoryOps(
    grpc::CallbackServerContext* context) {
  return OpenStream<MemoryOpsCall>(runner_, "StreamMemoryOps", runner_,
                                   context);
}

}  // namespace simvisor::server
