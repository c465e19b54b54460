#include "client/api/client.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/api/address.h"
#include "client/api/error.h"
#include "client/api/generic_call.h"
#include "client/api/text_check.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"

namespace simvisor::client {
namespace {

// Timeout of one attempt to connect; gRPC's own 20 s is meant for networks that
// lose packets.
constexpr int kConnectMs = 5000;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kConnectMs);
  // Do not reach the daemon through an HTTP proxy.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                   arguments);
}

// Returns `response` if each of the lists whose sizes are given has an entry
// for each of `asked` numbers: callers print them side by side.
template <typename Response, typename... Sizes>
absl::StatusOr<Response> WithEntriesFor(int asked,
                                        absl::StatusOr<Response> response,
                                        Sizes... sizes) {
  if (!response.ok()) return response;
  for (const int size : {((*response).*sizes)()...}) {
    if (size == asked) continue;
    return absl::InternalError(
        absl::StrCat(Response::descriptor()->name(), ": ", size,
                     " entries answer a request of ", asked,
                     "; is it a simvisord of another version?"));
  }
  return response;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Create(
    absl::string_view address, const Options& options) {
  const absl::Status valid = CheckAddress(address);
  if (!valid.ok()) return valid;
  return std::make_unique<Client>(address, MakeChannel(std::string(address)),
                                  options);
}

Client::Client(absl::string_view address,
               std::shared_ptr<grpc::Channel> channel, const Options& options)
    : address_(address),
      options_(options),
      channel_(std::move(channel)),
      host_(v1::HostService::NewStub(channel_)),
      domain_(v1::DomainService::NewStub(channel_)),
      memory_(v1::MemoryService::NewStub(channel_)),
      address_spaces_(v1::AddressSpaceService::NewStub(channel_)),
      guest_loads_(v1::GuestLoadService::NewStub(channel_)),
      migration_(v1::MigrationService::NewStub(channel_)),
      faults_(v1::FaultService::NewStub(channel_)) {}

void Client::Prepare(grpc::ClientContext& context) const {
  if (!options_.timeout) return;
  context.set_deadline(std::chrono::system_clock::now() +
                       absl::ToChronoMicroseconds(*options_.timeout));
}

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Client::Call(
    Stub& stub,
    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                 Response*),
    const Request& request) const {
  if (const absl::Status utf8 = CheckStrings(request); !utf8.ok()) return utf8;
  grpc::ClientContext context;
  Prepare(context);
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return FromGrpc(status, address_);
  if (options_.on_response) options_.on_response(response);
  return response;
}

template <typename Reader, typename Response>
absl::Status Client::Drain(grpc::ClientContext& context, Reader& reader,
                           Sink<Response> sink) const {
  absl::Status sunk;
  Response response;
  while (sunk.ok() && reader.Read(&response)) {
    if (options_.on_response) options_.on_response(response);
    sunk = sink(response);
  }
  if (!sunk.ok()) context.TryCancel();
  const grpc::Status status = reader.Finish();
  return sunk.ok() ? FromGrpc(status, address_) : sunk;
}

absl::StatusOr<v1::ListDomainsResponse> Client::ListAllDomains() const {
  v1::ListDomainsResponse all;
  v1::ListDomainsRequest request;
  do {
    auto page = ListDomains(request);
    if (!page.ok()) return page.status();
    request.set_page_token(page->next_page_token());
    page->clear_next_page_token();
    all.MergeFrom(*page);
  } while (!request.page_token().empty());
  return all;
}

absl::StatusOr<v1::ListMigrationsResponse> Client::ListAllMigrations() const {
  v1::ListMigrationsResponse all;
  v1::ListMigrationsRequest request;
  do {
    auto page = ListMigrations(request);
    if (!page.ok()) return page.status();
    request.set_page_token(page->next_page_token());
    page->clear_next_page_token();
    all.MergeFrom(*page);
  } while (!request.page_token().empty());
  return all;
}

absl::StatusOr<v1::ListVcpusResponse> Client::ListAllVcpus(
    v1::ListVcpusRequest request) const {
  v1::ListVcpusResponse all;
  do {
    auto page = ListVcpus(request);
    if (!page.ok()) return page.status();
    request.set_page_token(page->next_page_token());
    page->clear_next_page_token();
    all.MergeFrom(*page);
  } while (!request.page_token().empty());
  return all;
}

absl::Status Client::SaveDomain(const v1::SaveDomainRequest::Start& start,
                                Sink<v1::SaveDomainResponse> sink) const {
  if (const absl::Status utf8 = CheckStrings(start); !utf8.ok()) return utf8;
  grpc::ClientContext context;
  Prepare(context);
  const auto stream = migration_->SaveDomain(&context);
  v1::SaveDomainRequest request;
  *request.mutable_start() = start;
  stream->Write(request);
  absl::Status sunk;
  v1::SaveDomainResponse piece;
  bool last = false;
  while (sunk.ok() && !last && stream->Read(&piece)) {
    sunk = sink(piece);
    last = piece.last();
  }
  if (!sunk.ok()) {
    context.TryCancel();
  } else if (last) {
    request.mutable_stored();
    stream->Write(request);
  }
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  return sunk.ok() ? FromGrpc(status, address_) : sunk;
}

absl::StatusOr<v1::RestoreDomainResponse> Client::RestoreDomain(
    const v1::RestoreOptions& options,
    absl::FunctionRef<absl::StatusOr<bool>(std::string*)> source) const {
  if (const absl::Status utf8 = CheckStrings(options); !utf8.ok()) return utf8;
  grpc::ClientContext context;
  Prepare(context);
  v1::RestoreDomainResponse response;
  const auto stream = migration_->RestoreDomain(&context, &response);
  v1::RestoreDomainRequest request;
  *request.mutable_options() = options;
  absl::StatusOr<bool> more = true;
  // A write fails once the daemon has answered; Finish() returns the answer.
  while (more.ok() && *more && stream->Write(request)) {
    request.clear_options();
    more = source(request.mutable_data());
  }
  if (!more.ok()) context.TryCancel();
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  if (!more.ok()) return more.status();
  if (!status.ok()) return FromGrpc(status, address_);
  if (options_.on_response) options_.on_response(response);
  return response;
}

absl::Status Client::MigrateDomain(const v1::MigrateDomainRequest& request,
                                   Sink<v1::MigrateDomainResponse> sink) const {
  if (const absl::Status utf8 = CheckStrings(request); !utf8.ok()) return utf8;
  grpc::ClientContext context;
  Prepare(context);
  const auto reader = migration_->MigrateDomain(&context, request);
  return Drain(context, *reader, sink);
}

absl::StatusOr<v1::ListMigrationsResponse> Client::ListMigrations(
    const v1::ListMigrationsRequest& request) const {
  return Call(*migration_, &v1::MigrationService::Stub::ListMigrations,
              request);
}

absl::StatusOr<v1::ResolveMigrationResponse> Client::ResolveMigration(
    const v1::ResolveMigrationRequest& request) const {
  return Call(*migration_, &v1::MigrationService::Stub::ResolveMigration,
              request);
}

absl::Status Client::CallMethod(
    const google::protobuf::MethodDescriptor& method,
    const google::protobuf::Message& request,
    google::protobuf::Message& response) const {
  if (const absl::Status utf8 = CheckStrings(request); !utf8.ok()) return utf8;
  grpc::ClientContext context;
  Prepare(context);
  return FromGrpc(GenericCall(channel_, context, method, request, response),
                  address_);
}

absl::StatusOr<v1::GetHostResponse> Client::GetHost(
    const v1::GetHostRequest& request) const {
  return Call(*host_, &v1::HostService::Stub::GetHost, request);
}

absl::StatusOr<v1::AuditHostResponse> Client::AuditHost(
    const v1::AuditHostRequest& request) const {
  return Call(*host_, &v1::HostService::Stub::AuditHost, request);
}

absl::Status Client::LookupFrames(const v1::LookupFramesRequest& request,
                                  Sink<v1::LookupFramesResponse> sink) const {
  if (const absl::Status utf8 = CheckStrings(request); !utf8.ok()) return utf8;
  grpc::ClientContext context;
  Prepare(context);
  const auto reader = host_->LookupFrames(&context, request);
  return Drain(context, *reader, sink);
}

absl::Status Client::ReadFrames(const v1::ReadFramesRequest& request,
                                Sink<v1::ReadFramesResponse> sink) const {
  if (const absl::Status utf8 = CheckStrings(request); !utf8.ok()) return utf8;
  grpc::ClientContext context;
  Prepare(context);
  const auto reader = host_->ReadFrames(&context, request);
  return Drain(context, *reader, sink);
}

absl::StatusOr<v1::CreateDomainResponse> Client::CreateDomain(
    const v1::CreateDomainRequest& request) const {
  return Call(*domain_, &v1::DomainService::Stub::CreateDomain, request);
}

absl::StatusOr<v1::GetDomainResponse> Client::GetDomain(
    const v1::GetDomainRequest& request) const {
  return Call(*domain_, &v1::DomainService::Stub::GetDomain, request);
}

absl::StatusOr<v1::ListDomainsResponse> Client::ListDomains(
    const v1::ListDomainsRequest& request) const {
  return Call(*domain_, &v1::DomainService::Stub::ListDomains, request);
}

absl::StatusOr<v1::DestroyDomainResponse> Client::DestroyDomain(
    const v1::DestroyDomainRequest& request) const {
  return Call(*domain_, &v1::DomainService::Stub::DestroyDomain, request);
}

absl::StatusOr<v1::PauseDomainResponse> Client::PauseDomain(
    const v1::PauseDomainRequest& request) const {
  return Call(*domain_, &v1::DomainService::Stub::PauseDomain, request);
}

absl::StatusOr<v1::UnpauseDomainResponse> Client::UnpauseDomain(
    const v1::UnpauseDomainRequest& request) const {
  return Call(*domain_, &v1::DomainService::Stub::UnpauseDomain, request);
}

absl::StatusOr<v1::RenameDomainResponse> Client::RenameDomain(
    const v1::RenameDomainRequest& request) const {
  return Call(*domain_, &v1::DomainService::Stub::RenameDomain, request);
}

absl::StatusOr<v1::BalloonDownResponse> Client::BalloonDown(
    const v1::BalloonDownRequest& request) const {
  return Call(*memory_, &v1::MemoryService::Stub::BalloonDown, request);
}

absl::StatusOr<v1::BalloonUpResponse> Client::BalloonUp(
    const v1::BalloonUpRequest& request) const {
  return Call(*memory_, &v1::MemoryService::Stub::BalloonUp, request);
}

absl::StatusOr<v1::SetMemoryTargetResponse> Client::SetMemoryTarget(
    const v1::SetMemoryTargetRequest& request) const {
  return Call(*memory_, &v1::MemoryService::Stub::SetMemoryTarget, request);
}

absl::StatusOr<v1::SetMaxMemoryResponse> Client::SetMaxMemory(
    const v1::SetMaxMemoryRequest& request) const {
  return Call(*memory_, &v1::MemoryService::Stub::SetMaxMemory, request);
}

absl::StatusOr<v1::MarkIdentityRangeResponse> Client::MarkIdentityRange(
    const v1::MarkIdentityRangeRequest& request) const {
  return Call(*memory_, &v1::MemoryService::Stub::MarkIdentityRange, request);
}

absl::StatusOr<v1::SetP2mRangeResponse> Client::SetP2mRange(
    const v1::SetP2mRangeRequest& request) const {
  return Call(*memory_, &v1::MemoryService::Stub::SetP2mRange, request);
}

absl::StatusOr<v1::TranslatePfnsResponse> Client::TranslatePfns(
    const v1::TranslatePfnsRequest& request) const {
  using Response = v1::TranslatePfnsResponse;
  return WithEntriesFor(
      request.pfns_size(),
      Call(*memory_, &v1::MemoryService::Stub::TranslatePfns, request),
      &Response::classes_size, &Response::frames_size);
}

absl::StatusOr<v1::GetP2mSummaryResponse> Client::GetP2mSummary(
    const v1::GetP2mSummaryRequest& request) const {
  return Call(*memory_, &v1::MemoryService::Stub::GetP2mSummary, request);
}

absl::StatusOr<v1::GetMfnListListResponse> Client::GetMfnListList(
    const v1::GetMfnListListRequest& request) const {
  return Call(*memory_, &v1::MemoryService::Stub::GetMfnListList, request);
}

absl::StatusOr<v1::ReadGuestMemoryResponse> Client::ReadGuestMemory(
    const v1::ReadGuestMemoryRequest& request) const {
  return Call(*memory_, &v1::MemoryService::Stub::ReadGuestMemory, request);
}

absl::StatusOr<v1::WriteGuestMemoryResponse> Client::WriteGuestMemory(
    const v1::WriteGuestMemoryRequest& request) const {
  return Call(*memory_, &v1::MemoryService::Stub::WriteGuestMemory, request);
}

std::unique_ptr<MemoryOpsStream> Client::StreamMemoryOps() const {
  return std::make_unique<MemoryOpsStream>(*memory_, address_, options_.timeout,
                                           options_.on_response);
}

absl::Status Client::ListP2mRuns(const v1::ListP2mRunsRequest& request,
                                 Sink<v1::ListP2mRunsResponse> sink) const {
  if (const absl::Status utf8 = CheckStrings(request); !utf8.ok()) return utf8;
  grpc::ClientContext context;
  Prepare(context);
  const auto reader = memory_->ListP2mRuns(&context, request);
  return Drain(context, *reader, sink);
}

absl::StatusOr<v1::SetVcpuAffinityResponse> Client::SetVcpuAffinity(
    const v1::SetVcpuAffinityRequest& request) const {
  return Call(*domain_, &v1::DomainService::Stub::SetVcpuAffinity, request);
}

absl::StatusOr<v1::ListVcpusResponse> Client::ListVcpus(
    const v1::ListVcpusRequest& request) const {
  return Call(*domain_, &v1::DomainService::Stub::ListVcpus, request);
}

absl::StatusOr<v1::TranslateMfnsResponse> Client::TranslateMfns(
    const v1::TranslateMfnsRequest& request) const {
  using Response = v1::TranslateMfnsResponse;
  return WithEntriesFor(
      request.mfns_size(),
      Call(*memory_, &v1::MemoryService::Stub::TranslateMfns, request),
      &Response::pfns_size, &Response::local_pfns_size);
}

absl::StatusOr<v1::MapForeignFramesResponse> Client::MapForeignFrames(
    const v1::MapForeignFramesRequest& request) const {
  return Call(*memory_, &v1::MemoryService::Stub::MapForeignFrames, request);
}

absl::StatusOr<v1::UnmapForeignFramesResponse> Client::UnmapForeignFrames(
    const v1::UnmapForeignFramesRequest& request) const {
  return Call(*memory_, &v1::MemoryService::Stub::UnmapForeignFrames, request);
}

absl::StatusOr<v1::CreateAddressSpacesResponse> Client::CreateAddressSpaces(
    const v1::CreateAddressSpacesRequest& request) const {
  return Call(*address_spaces_,
              &v1::AddressSpaceService::Stub::CreateAddressSpaces, request);
}

absl::StatusOr<v1::DestroyAddressSpacesResponse> Client::DestroyAddressSpaces(
    const v1::DestroyAddressSpacesRequest& request) const {
  return Call(*address_spaces_,
              &v1::AddressSpaceService::Stub::DestroyAddressSpaces, request);
}

absl::StatusOr<v1::TranslateInAddressSpaceResponse>
Client::TranslateInAddressSpace(
    const v1::TranslateInAddressSpaceRequest& request) const {
  using Response = v1::TranslateInAddressSpaceResponse;
  return WithEntriesFor(
      request.pfns_size(),
      Call(*address_spaces_,
           &v1::AddressSpaceService::Stub::TranslateInAddressSpace, request),
      &Response::classes_size, &Response::frames_size);
}

absl::StatusOr<v1::SyncAddressSpacesResponse> Client::SyncAddressSpaces(
    const v1::SyncAddressSpacesRequest& request) const {
  return Call(*address_spaces_,
              &v1::AddressSpaceService::Stub::SyncAddressSpaces, request);
}

absl::Status Client::ListAddressSpaces(
    const v1::ListAddressSpacesRequest& request,
    Sink<v1::ListAddressSpacesResponse> sink) const {
  if (const absl::Status utf8 = CheckStrings(request); !utf8.ok()) return utf8;
  grpc::ClientContext context;
  Prepare(context);
  const auto reader = address_spaces_->ListAddressSpaces(&context, request);
  return Drain(context, *reader, sink);
}

absl::StatusOr<v1::AddFaultResponse> Client::AddFault(
    const v1::AddFaultRequest& request) const {
  return Call(*faults_, &v1::FaultService::Stub::AddFault, request);
}

absl::StatusOr<v1::ListFaultsResponse> Client::ListFaults(
    const v1::ListFaultsRequest& request) const {
  return Call(*faults_, &v1::FaultService::Stub::ListFaults, request);
}

absl::StatusOr<v1::RemoveFaultsResponse> Client::RemoveFaults(
    const v1::RemoveFaultsRequest& request) const {
  return Call(*faults_, &v1::FaultService::Stub::RemoveFaults, request);
}

absl::StatusOr<v1::StartGuestLoadResponse> Client::StartGuestLoad(
    const v1::StartGuestLoadRequest& request) const {
  return Call(*guest_loads_, &v1::GuestLoadService::Stub::StartGuestLoad,
              request);
}

absl::StatusOr<v1::GetGuestLoadResponse> Client::GetGuestLoad(
    const v1::GetGuestLoadRequest& request) const {
  return Call(*guest_loads_, &v1::GuestLoadService::Stub::GetGuestLoad,
              request);
}

absl::StatusOr<v1::StopGuestLoadResponse> Client::StopGuestLoad(
    const v1::StopGuestLoadRequest& request) const {
  return Call(*guest_loads_, &v1::GuestLoadService::Stub::StopGuestLoad,
              request);
}

absl::StatusOr<v1::CheckGuestLoadResponse> Client::CheckGuestLoad(
    const v1::CheckGuestLoadRequest& request) const {
  return Call(*guest_loads_, &v1::GuestLoadService::Stub::CheckGuestLoad,
              request);
}

}  // namespace simvisor::client
