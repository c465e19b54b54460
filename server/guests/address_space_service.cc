#include "server/guests/address_space_service.h"

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "domain/units/p2m_word.h"
#include "domain/vm/domain_types.h"
#include "server/calls/find_domain.h"
#include "server/calls/stream_call.h"
#include "server/calls/unary_call.h"
#include "server/convert/address_space.h"
#include "server/convert/argument.h"
#include "server/convert/common.h"
#include "server/guests/address_space_source.h"
#include "server/threads/job_scope.h"

namespace simvisor::server {
namespace {

// Bounds of a request's count and lists, as the API states them.
constexpr uint64_t kMaxSpaces = 65536;
constexpr uint64_t kMaxPfns = 65536;
// More is long work.
constexpr uint32_t kShortSpaces = 1024;

}  // namespace

grpc::ServerUnaryReactor* AddressSpaceServiceImpl::CreateAddressSpaces(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto create = [this](const v1::CreateAddressSpacesRequest& request,
                       v1::CreateAddressSpacesResponse* response,
                       StopCheck stop) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(CheckAtMost("count", request.count(), kMaxSpaces));
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(runner_->host(), request.domain()));
    SIMVISOR_RETURN_IF_ERROR(
        JobScope::BeginWork(request.count() <= kShortSpaces));
    SIMVISOR_ASSIGN_OR_RETURN(
        const NewAddressSpaces made,
        domain->processes().Create({"create address spaces", stop},
                                   request.count()));
    response->set_first_id(made.first_id);
    response->set_count(request.count());
    ToProto(made.totals, response->mutable_totals());
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "CreateAddressSpaces", create);
}

grpc::ServerUnaryReactor* AddressSpaceServiceImpl::DestroyAddressSpaces(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto destroy = [this](const v1::DestroyAddressSpacesRequest& request,
                        v1::DestroyAddressSpacesResponse* response,
                        StopCheck stop) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(
        CheckListSize("ids", request.ids_size(), kMaxSpaces));
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(runner_->host(), request.domain()));
    SIMVISOR_RETURN_IF_ERROR(JobScope::BeginWork(
        request.ids_size() <= static_cast<int>(kShortSpaces)));
    SIMVISOR_ASSIGN_OR_RETURN(
        const AddressSpaceTotals totals,
        domain->processes().Destroy(
            {"destroy address spaces", stop},
            absl::MakeConstSpan(request.ids().data(), request.ids_size())));
    ToProto(totals, response->mutable_totals());
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "DestroyAddressSpaces",
                   destroy);
}

RawWriteReactor* AddressSpaceServiceImpl::ListAddressSpaces(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in) {
  return StartStream(runner_, context, in, "ListAddressSpaces",
                     [this](const v1::ListAddressSpacesRequest& request) {
                       return AddressSpaceSource::Create(runner_->host(),
                                                         request);
                     });
}

grpc::ServerUnaryReactor* AddressSpaceServiceImpl::TranslateInAddressSpace(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto translate = [this](const v1::TranslateInAddressSpaceRequest& request,
                          v1::TranslateInAddressSpaceResponse* response,
                          StopCheck) -> absl::Status {
    SIMVISOR_RETURN_IF_ERROR(
        CheckListSize("pfns", request.pfns_size(), kMaxPfns));
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(runner_->host(), request.domain()));
    std::vector<P2mWord> words;
    SIMVISOR_RETURN_IF_ERROR(domain->processes().TranslateIn(
        request.id(),
        absl::MakeConstSpan(request.pfns().data(), request.pfns_size()),
        words));
    response->mutable_classes()->Reserve(request.pfns_size());
    response->mutable_frames()->Reserve(request.pfns_size());
    for (const P2mWord word : words) {
      response->add_classes(ToProto(word.Class()));
      response->add_frames(word.Number());
    }
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "TranslateInAddressSpace",
                   translate);
}

grpc::ServerUnaryReactor* AddressSpaceServiceImpl::SyncAddressSpaces(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
    grpc::ByteBuffer* out) {
  auto sync = [this](const v1::SyncAddressSpacesRequest& request,
                     v1::SyncAddressSpacesResponse* response,
                     StopCheck stop) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                              FindDomain(runner_->host(), request.domain()));
    SIMVISOR_RETURN_IF_ERROR(
        JobScope::BeginWork(GuestPages(*domain) <= kShortPages));
    SIMVISOR_ASSIGN_OR_RETURN(
        const AddressSpaceSync done,
        domain->processes().Sync({"sync address spaces", stop}));
    response->set_tables_walked(done.tables_walked);
    response->set_entries_rewritten(done.entries_rewritten);
    return absl::OkStatus();
  };
  return RunOnPool(runner_, {context, in, out}, "SyncAddressSpaces", sync);
}

}  // namespace simvisor::server
