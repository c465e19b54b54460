#include "server/memory_service.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "domain/domain/domain_types.h"
#include "domain/units/p2m_word.h"
#include "domain/units/status_macros.h"
#include "domain/units/units.h"
#include "server/argument.h"
#include "server/convert_common.h"
#include "server/convert_domain.h"
#include "server/convert_memory.h"
#include "server/find_domain.h"
#include "server/p2m_run_source.h"
#include "server/stream_call.h"
#include "server/unary_call.h"

namespace simvisor::server {
namespace {

constexpr uint64_t kMaxPfns = 65536;
constexpr uint64_t kMaxSlots = 65536;
constexpr uint64_t kMaxGuestBytes = uint64_t{1} << 20;

void AddTranslations(const std::vector<P2mWord>& words,
                     v1::TranslatePfnsResponse* response) {
  response->mutable_classes()->Reserve(static_cast<int>(words.size()));
  response->mutable_frames()->Reserve(static_cast<int>(words.size()));
  for (P2mWord word : words) {
    response->add_classes(ToProto(word.Class()));
    response->add_frames(word.Number());
  }
}

}  // namespace

grpc::ServerUnaryReactor* MemoryServiceImpl::BalloonDown(
    grpc::CallbackServerContext* context, const v1::BalloonDownRequest* request,
    v1::BalloonDownResponse* response) {
  auto balloon = [this, request, response](StopCheck stop) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(*host_, request->domain()));
    SIMVISOR_RETURN_IF_ERROR(
        runner_->faults->Reach(FaultPoint::kBalloonBegin, domain->name()));
    const absl::StatusOr<PageCount> moved = domain->BalloonDown(
        PageCount(request->pages()), request->allow_partial(), stop);
    runner_->balloons.Watch(domain);
    SIMVISOR_RETURN_IF_ERROR(moved.status());
    SIMVISOR_RETURN_IF_ERROR(
        runner_->faults->Reach(FaultPoint::kBalloonMoved, domain->name()));
    response->set_moved_pages(moved->value());
    ToProto(domain->Info().memory, response->mutable_memory());
    return absl::OkStatus();
  };
  return RunOnPool(runner_, context, "BalloonDown", balloon);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::BalloonUp(
    grpc::CallbackServerContext* context, const v1::BalloonUpRequest* request,
    v1::BalloonUpResponse* response) {
  auto balloon = [this, request, response](StopCheck stop) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(*host_, request->domain()));
    SIMVISOR_RETURN_IF_ERROR(
        runner_->faults->Reach(FaultPoint::kBalloonBegin, domain->name()));
    const absl::StatusOr<PageCount> moved = domain->BalloonUp(
        PageCount(request->pages()), request->allow_partial(), stop);
    runner_->balloons.Watch(domain);
    SIMVISOR_RETURN_IF_ERROR(moved.status());
    SIMVISOR_RETURN_IF_ERROR(
        runner_->faults->Reach(FaultPoint::kBalloonMoved, domain->name()));
    response->set_moved_pages(moved->value());
    ToProto(domain->Info().memory, response->mutable_memory());
    return absl::OkStatus();
  };
  return RunOnPool(runner_, context, "BalloonUp", balloon);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::SetMemoryTarget(
    grpc::CallbackServerContext* context,
    const v1::SetMemoryTargetRequest* request,
    v1::SetMemoryTargetResponse* response) {
  auto set = [this, request, response](StopCheck stop) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(*host_, request->domain()));
    SIMVISOR_RETURN_IF_ERROR(
        runner_->faults->Reach(FaultPoint::kBalloonBegin, domain->name()));
    const absl::Status status =
        domain->SetTarget(PageCount(request->target_pages()), stop);
    runner_->balloons.Watch(domain);
    SIMVISOR_RETURN_IF_ERROR(status);
    SIMVISOR_RETURN_IF_ERROR(
        runner_->faults->Reach(FaultPoint::kBalloonMoved, domain->name()));
    ToProto(domain->Info().memory, response->mutable_memory());
    return absl::OkStatus();
  };
  return RunOnPool(runner_, context, "SetMemoryTarget", set);
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
  auto mark = [this, request, response](StopCheck stop) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(*host_, request->domain()));
    SIMVISOR_ASSIGN_OR_RETURN(
        const RangeChange change,
        domain->MarkIdentity(Pfn(request->start_pfn()), Pfn(request->end_pfn()),
                             request->release_ram(), stop));
    ToProto(change, response);
    return absl::OkStatus();
  };
  return RunOnPool(runner_, context, "MarkIdentityRange", mark);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::SetP2mRange(
    grpc::CallbackServerContext* context, const v1::SetP2mRangeRequest* request,
    v1::SetP2mRangeResponse* response) {
  auto set = [this, request, response](StopCheck stop) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const P2mClass p2m_class,
                              FromProto("p2m_class", request->p2m_class()));
    SIMVISOR_ASSIGN_OR_RETURN(const RamPolicy policy,
                              FromProto("ram_policy", request->ram_policy()));
    if (p2m_class != P2mClass::kRam && request->first_mfn() != 0) {
      return ArgumentMalformed("first_mfn",
                               "only RAM words name a frame; leave it 0");
    }
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(*host_, request->domain()));
    SIMVISOR_ASSIGN_OR_RETURN(
        const RangeChange change,
        domain->SetRange(
            {Pfn(request->first_pfn()), PageCount(request->count())}, p2m_class,
            Mfn(request->first_mfn()), policy, stop));
    ToProto(change, response);
    return absl::OkStatus();
  };
  return RunOnPool(runner_, context, "SetP2mRange", set);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::TranslatePfns(
    grpc::CallbackServerContext* context,
    const v1::TranslatePfnsRequest* request,
    v1::TranslatePfnsResponse* response) {
  auto translate = [this, request, response](StopCheck) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(
        CheckListSize("pfns", request->pfns_size(), kMaxPfns));
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(*host_, request->domain()));
    std::vector<P2mWord> words;
    words.reserve(request->pfns_size());
    SIMVISOR_RETURN_IF_ERROR(domain->Translate(
        absl::MakeConstSpan(request->pfns().data(), request->pfns_size()),
        words));
    AddTranslations(words, response);
    return absl::OkStatus();
  };
  return RunOnPool(runner_, context, "TranslatePfns", translate);
}

grpc::ServerUnaryReactor* MemoryServiceImpl::TranslateMfns(
    grpc::CallbackServerContext* context,
    const v1::TranslateMfnsRequest* request,
    v1::TranslateMfnsResponse* response) {
  auto translate = [this, request, response](StopCheck) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(
        CheckListSize("mfns", request->mfns_size(), kMaxPfns));
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
    SIMVISOR_RETURN_IF_ERROR(
        CheckAtMost("length_bytes", request->length_bytes(), kMaxGuestBytes));
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
    const v1::WriteGuestMemoryRequest* request, v1::WriteGuestMemoryResponse*) {
  auto write = [this, request](StopCheck) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(
        CheckAtMost("data", request->data().size(), kMaxGuestBytes));
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(*host_, request->domain()));
    return domain->WriteMemory(Pfn(request->pfn()), request->offset_bytes(),
                               request->data());
  };
  return RunOnPool(runner_, context, "WriteGuestMemory", write);
}

}  // namespace simvisor::server
