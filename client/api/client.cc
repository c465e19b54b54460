#include "client/api/client.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
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

// The pages that `list` answers from that of `request` on, in one response.
template <typename Response, typename Request, typename List>
absl::StatusOr<Response> AllPages(Request request, List list) {
  Response all;
  do {
    SIMVISOR_ASSIGN_OR_RETURN(Response page, list(request));
    request.set_page_token(page.next_page_token());
    page.clear_next_page_token();
    all.MergeFrom(page);
  } while (!request.page_token().empty());
  return all;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Create(
    absl::string_view address, const Options& options) {
  SIMVISOR_RETURN_IF_ERROR(CheckAddress(address));
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
  SIMVISOR_RETURN_IF_ERROR(CheckStrings(request));
  grpc::ClientContext context;
  Prepare(context);
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return FromGrpc(status, address_);
  if (options_.on_response) options_.on_response(response);
  return response;
}

template <typename Stub, typename Request, typename Response>
absl::Status Client::Stream(Stub& stub,
                            std::unique_ptr<grpc::ClientReader<Response>> (
                                Stub::*method)(grpc::ClientContext*,
                                               const Request&),
                            const Request& request, Sink<Response> sink) const {
  SIMVISOR_RETURN_IF_ERROR(CheckStrings(request));
  grpc::ClientContext context;
  Prepare(context);
  const auto reader = (stub.*method)(&context, request);
  absl::Status sunk;
  Response response;
  while (sunk.ok() && reader->Read(&response)) {
    if (options_.on_response) options_.on_response(response);
    sunk = sink(response);
  }
  if (!sunk.ok()) context.TryCancel();
  const grpc::Status status = reader->Finish();
  return sunk.ok() ? FromGrpc(status, address_) : sunk;
}

// The methods that pass requests and responses on as they are.
#define SIMVISOR_UNARY(stub, Service, Method)                \
  absl::StatusOr<v1::Method##Response> Client::Method(       \
      const v1::Method##Request& request) const {            \
    return Call(*stub, &v1::Service::Stub::Method, request); \
  }
#define SIMVISOR_STREAMING(stub, Service, Method)                      \
  absl::Status Client::Method(const v1::Method##Request& request,      \
                              Sink<v1::Method##Response> sink) const { \
    return Stream(*stub, &v1::Service::Stub::Method, request, sink);   \
  }

SIMVISOR_UNARY(host_, HostService, GetHost)
SIMVISOR_UNARY(host_, HostService, AuditHost)
SIMVISOR_STREAMING(host_, HostService, LookupFrames)
SIMVISOR_STREAMING(host_, HostService, ReadFrames)

SIMVISOR_UNARY(domain_, DomainService, CreateDomain)
SIMVISOR_UNARY(domain_, DomainService, GetDomain)
SIMVISOR_UNARY(domain_, DomainService, ListDomains)
SIMVISOR_UNARY(domain_, DomainService, DestroyDomain)
SIMVISOR_UNARY(domain_, DomainService, PauseDomain)
SIMVISOR_UNARY(domain_, DomainService, UnpauseDomain)
SIMVISOR_UNARY(domain_, DomainService, RenameDomain)
SIMVISOR_UNARY(domain_, DomainService, SetVcpuAffinity)
SIMVISOR_UNARY(domain_, DomainService, ListVcpus)

SIMVISOR_UNARY(memory_, MemoryService, BalloonDown)
SIMVISOR_UNARY(memory_, MemoryService, BalloonUp)
SIMVISOR_UNARY(memory_, MemoryService, SetMemoryTarget)
SIMVISOR_UNARY(memory_, MemoryService, SetMaxMemory)
SIMVISOR_UNARY(memory_, MemoryService, MarkIdentityRange)
SIMVISOR_UNARY(memory_, MemoryService, SetP2mRange)
SIMVISOR_UNARY(memory_, MemoryService, GetP2mSummary)
SIMVISOR_UNARY(memory_, MemoryService, GetMfnListList)
SIMVISOR_UNARY(memory_, MemoryService, ReadGuestMemory)
SIMVISOR_UNARY(memory_, MemoryService, WriteGuestMemory)
SIMVISOR_UNARY(memory_, MemoryService, MapForeignFrames)
SIMVISOR_UNARY(memory_, MemoryService, UnmapForeignFrames)
SIMVISOR_STREAMING(memory_, MemoryService, ListP2mRuns)

SIMVISOR_UNARY(address_spaces_, AddressSpaceService, CreateAddressSpaces)
SIMVISOR_UNARY(address_spaces_, AddressSpaceService, DestroyAddressSpaces)
SIMVISOR_UNARY(address_spaces_, AddressSpaceService, SyncAddressSpaces)
SIMVISOR_STREAMING(address_spaces_, AddressSpaceService, ListAddressSpaces)

SIMVISOR_UNARY(guest_loads_, GuestLoadService, StartGuestLoad)
SIMVISOR_UNARY(guest_loads_, GuestLoadService, GetGuestLoad)
SIMVISOR_UNARY(guest_loads_, GuestLoadService, StopGuestLoad)
SIMVISOR_UNARY(guest_loads_, GuestLoadService, CheckGuestLoad)

SIMVISOR_UNARY(migration_, MigrationService, ListMigrations)
SIMVISOR_UNARY(migration_, MigrationService, ResolveMigration)
SIMVISOR_STREAMING(migration_, MigrationService, MigrateDomain)

SIMVISOR_UNARY(faults_, FaultService, AddFault)
SIMVISOR_UNARY(faults_, FaultService, ListFaults)
SIMVISOR_UNARY(faults_, FaultService, RemoveFaults)

#undef SIMVISOR_UNARY
#undef SIMVISOR_STREAMING

absl::StatusOr<v1::ListDomainsResponse> Client::ListAllDomains() const {
  return AllPages<v1::ListDomainsResponse>(
      v1::ListDomainsRequest(),
      [this](const auto& request) { return ListDomains(request); });
}

absl::StatusOr<v1::ListMigrationsResponse> Client::ListAllMigrations() const {
  return AllPages<v1::ListMigrationsResponse>(
      v1::ListMigrationsRequest(),
      [this](const auto& request) { return ListMigrations(request); });
}

absl::StatusOr<v1::ListVcpusResponse> Client::ListAllVcpus(
    v1::ListVcpusRequest request) const {
  return AllPages<v1::ListVcpusResponse>(
      std::move(request),
      [this](const auto& page_request) { return ListVcpus(page_request); });
}

absl::Status Client::SaveDomain(const v1::SaveDomainRequest::Start& start,
                                Sink<v1::SaveDomainResponse> sink) const {
  SIMVISOR_RETURN_IF_ERROR(CheckStrings(start));
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
  SIMVISOR_RETURN_IF_ERROR(CheckStrings(options));
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

absl::Status Client::CallMethod(
    const google::protobuf::MethodDescriptor& method,
    const google::protobuf::Message& request,
    google::protobuf::Message& response) const {
  SIMVISOR_RETURN_IF_ERROR(CheckStrings(request));
  grpc::ClientContext context;
  Prepare(context);
  return FromGrpc(GenericCall(channel_, context, method, request, response),
                  address_);
}

absl::StatusOr<v1::TranslatePfnsResponse> Client::TranslatePfns(
    const v1::TranslatePfnsRequest& request) const {
  using Response = v1::TranslatePfnsResponse;
  return WithEntriesFor(
      request.pfns_size(),
      Call(*memory_, &v1::MemoryService::Stub::TranslatePfns, request),
      &Response::classes_size, &Response::frames_size);
}

std::unique_ptr<MemoryOpsStream> Client::StreamMemoryOps() const {
  return std::make_unique<MemoryOpsStream>(*memory_, address_, options_.timeout,
                                           options_.on_response);
}

absl::StatusOr<v1::TranslateMfnsResponse> Client::TranslateMfns(
    const v1::TranslateMfnsRequest& request) const {
  using Response = v1::TranslateMfnsResponse;
  return WithEntriesFor(
      request.mfns_size(),
      Call(*memory_, &v1::MemoryService::Stub::TranslateMfns, request),
      &Response::pfns_size, &Response::local_pfns_size);
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

}  // namespace simvisor::client
