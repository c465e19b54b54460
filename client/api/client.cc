#include "client/api/client.h"

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <tuple>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "client/api/address.h"
#include "client/api/cancel_when.h"
#include "client/api/error.h"
#include "client/api/generic_call.h"
#include "client/api/own_reason.h"
#include "client/api/text_check.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"
#include "simvisor/v1/address_space_service.grpc.pb.h"
#include "simvisor/v1/domain_service.grpc.pb.h"
#include "simvisor/v1/fault_service.grpc.pb.h"
#include "simvisor/v1/guest_load_service.grpc.pb.h"
#include "simvisor/v1/host_service.grpc.pb.h"
#include "simvisor/v1/memory_service.grpc.pb.h"
#include "simvisor/v1/migration_service.grpc.pb.h"
#include "simvisor/v1/secondary_mmu_service.grpc.pb.h"

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
  return grpc::CreateCustomChannel(
      GrpcTarget(address), grpc::InsecureChannelCredentials(), arguments);
}

// A stub of each service.
template <typename... Services>
using StubsOf = std::tuple<std::unique_ptr<typename Services::Stub>...>;
using Stubs =
    StubsOf<v1::HostService, v1::DomainService, v1::MemoryService,
            v1::AddressSpaceService, v1::GuestLoadService, v1::MigrationService,
            v1::FaultService, v1::SecondaryMmuService>;

template <typename... Stub>
void MakeStubs(const std::shared_ptr<grpc::Channel>& channel,
               std::tuple<std::unique_ptr<Stub>...>& stubs) {
  stubs = std::make_tuple(std::make_unique<Stub>(channel)...);
}

template <typename Service>
typename Service::Stub& StubOf(const Stubs& stubs) {
  return *std::get<std::unique_ptr<typename Service::Stub>>(stubs);
}

// The unary methods, told apart by their requests.
#define SIMVISOR_UNARY_METHOD(service, name)                              \
  grpc::Status CallStub(const Stubs& stubs, grpc::ClientContext* context, \
                        const v1::name##Request& request,                 \
                        v1::name##Response* response) {                   \
    return StubOf<v1::service>(stubs).name(context, request, response);   \
  }
SIMVISOR_UNARY_METHODS(SIMVISOR_UNARY_METHOD)
#undef SIMVISOR_UNARY_METHOD

// "CreateDomain" for a v1::CreateDomainRequest.
std::string MethodOf(const google::protobuf::Message& request) {
  return std::string(
      absl::StripSuffix(request.GetDescriptor()->name(), "Request"));
}

// OK if each of `sizes`, the sizes of the lists in `response`, is `asked`, the
// number of entries in the request: callers print them side by side.
template <typename Response>
absl::Status CheckSizes(const Response& response, int asked,
                        std::initializer_list<int> sizes) {
  for (const int size : sizes) {
    if (size == asked) continue;
    return WithReason(absl::InternalError(absl::StrCat(
                          response.GetDescriptor()->name(), ": ", size,
                          " entries answer a request of ", asked,
                          "; is it a simvisord of another version?")),
                      OwnReason::kResponseInvalid);
  }
  return absl::OkStatus();
}

absl::Status CheckResponse(const v1::TranslatePfnsRequest& request,
                           const v1::TranslatePfnsResponse& response) {
  return CheckSizes(response, request.pfns_size(),
                    {response.classes_size(), response.frames_size()});
}

absl::Status CheckResponse(const v1::TranslateMfnsRequest& request,
                           const v1::TranslateMfnsResponse& response) {
  return CheckSizes(response, request.mfns_size(),
                    {response.pfns_size(), response.local_pfns_size()});
}

absl::Status CheckResponse(
    const v1::TranslateInAddressSpaceRequest& request,
    const v1::TranslateInAddressSpaceResponse& response) {
  return CheckSizes(response, request.pfns_size(),
                    {response.classes_size(), response.frames_size()});
}

// Other responses need no check.
absl::Status CheckResponse(const google::protobuf::Message&,
                           const google::protobuf::Message&) {
  return absl::OkStatus();
}

// All pages from the page of `request` on, in one response.
template <typename Request>
absl::StatusOr<ResponseTo<Request>> AllPages(
    const Client& client, Request request,
    absl::Duration timeout = absl::InfiniteDuration()) {
  const absl::Time end = absl::Now() + timeout;
  ResponseTo<Request> all;
  do {
    SIMVISOR_ASSIGN_OR_RETURN(
        ResponseTo<Request> page,
        client.Call(request, {.timeout = end - absl::Now()}));
    request.set_page_token(page.next_page_token());
    page.clear_next_page_token();
    all.MergeFrom(page);
  } while (!request.page_token().empty());
  return all;
}

}  // namespace

struct Client::Connection {
  // Gives a call its deadline, after the client's timeout or `limit`.
  void Prepare(grpc::ClientContext& context,
               absl::Duration limit = absl::InfiniteDuration()) const {
    const absl::Duration timeout =
        std::min(limit, options.timeout.value_or(absl::InfiniteDuration()));
    if (timeout == absl::InfiniteDuration()) return;
    context.set_deadline(std::chrono::system_clock::now() +
                         absl::ToChronoMicroseconds(timeout));
  }

  void Hook(google::protobuf::Message& response) const {
    if (options.on_response) options.on_response(response);
  }

  absl::Status Explain(const grpc::Status& status,
                       absl::string_view method) const {
    return FromGrpc(status, address, method);
  }

  template <typename Stub, typename Request, typename Response>
  absl::Status Stream(std::unique_ptr<grpc::ClientReader<Response>> (
                          Stub::*method)(grpc::ClientContext*, const Request&),
                      const Request& request, Sink<Response> sink,
                      const CallLimits& limits = {}) const {
    SIMVISOR_RETURN_IF_ERROR(CheckStrings(request));
    grpc::ClientContext context;
    Prepare(context, limits.timeout);
    const CancelWhen cancel(context, limits.must_end);
    Stub& stub = *std::get<std::unique_ptr<Stub>>(stubs);
    const auto reader = (stub.*method)(&context, request);
    absl::Status sunk;
    Response response;
    while (sunk.ok() && reader->Read(&response)) {
      Hook(response);
      sunk = sink(response);
    }
    if (!sunk.ok()) context.TryCancel();
    const grpc::Status status = reader->Finish();
    return sunk.ok() ? Explain(status, MethodOf(request)) : sunk;
  }

  std::string address;
  Options options;
  std::shared_ptr<grpc::Channel> channel;
  Stubs stubs;
};

absl::StatusOr<std::unique_ptr<Client>> Client::Create(
    absl::string_view address, const Options& options) {
  SIMVISOR_RETURN_IF_ERROR(CheckAddress(address));
  auto connection = std::make_unique<Connection>();
  connection->address = std::string(address);
  connection->options = options;
  connection->channel = MakeChannel(connection->address);
  MakeStubs(connection->channel, connection->stubs);
  return absl::WrapUnique(new Client(std::move(connection)));
}

Client::Client(std::unique_ptr<const Connection> connection)
    : connection_(std::move(connection)) {}

Client::~Client() = default;

template <typename Request>
absl::StatusOr<ResponseTo<Request>> Client::Call(
    const Request& request, const CallLimits& limits) const {
  SIMVISOR_RETURN_IF_ERROR(CheckStrings(request));
  grpc::ClientContext context;
  connection_->Prepare(context, limits.timeout);
  const CancelWhen cancel(context, limits.must_end);
  ResponseTo<Request> response;
  const grpc::Status status =
      CallStub(connection_->stubs, &context, request, &response);
  if (!status.ok()) return connection_->Explain(status, MethodOf(request));
  connection_->Hook(response);
  SIMVISOR_RETURN_IF_ERROR(CheckResponse(request, response));
  return response;
}

#define SIMVISOR_UNARY_METHOD(service, name)                \
  template absl::StatusOr<v1::name##Response> Client::Call( \
      const v1::name##Request& request, const CallLimits& limits) const;
SIMVISOR_UNARY_METHODS(SIMVISOR_UNARY_METHOD)
#undef SIMVISOR_UNARY_METHOD

absl::StatusOr<v1::ListDomainsResponse> Client::ListAllDomains() const {
  return AllPages(*this, v1::ListDomainsRequest());
}

absl::StatusOr<v1::ListVcpusResponse> Client::ListAllVcpus(
    v1::ListVcpusRequest request) const {
  return AllPages(*this, std::move(request));
}

absl::StatusOr<v1::ListMigrationsResponse> Client::ListAllMigrations(
    absl::Duration timeout) const {
  return AllPages(*this, v1::ListMigrationsRequest(), timeout);
}

absl::StatusOr<v1::ListSecondaryMmusResponse> Client::ListAllSecondaryMmus(
    v1::ListSecondaryMmusRequest request) const {
  return AllPages(*this, std::move(request));
}

absl::Status Client::ListSecondaryMappings(
    const v1::ListSecondaryMappingsRequest& request,
    Sink<v1::ListSecondaryMappingsResponse> sink) const {
  return connection_->Stream(
      &v1::SecondaryMmuService::Stub::ListSecondaryMappings, request, sink);
}

absl::Status Client::LookupFrames(const v1::LookupFramesRequest& request,
                                  Sink<v1::LookupFramesResponse> sink) const {
  return connection_->Stream(&v1::HostService::Stub::LookupFrames, request,
                             sink);
}

absl::Status Client::ReadFrames(const v1::ReadFramesRequest& request,
                                Sink<v1::ReadFramesResponse> sink) const {
  return connection_->Stream(&v1::HostService::Stub::ReadFrames, request, sink);
}

absl::Status Client::ListP2mRuns(const v1::ListP2mRunsRequest& request,
                                 Sink<v1::ListP2mRunsResponse> sink) const {
  return connection_->Stream(&v1::MemoryService::Stub::ListP2mRuns, request,
                             sink);
}

absl::Status Client::ListAddressSpaces(
    const v1::ListAddressSpacesRequest& request,
    Sink<v1::ListAddressSpacesResponse> sink) const {
  return connection_->Stream(&v1::AddressSpaceService::Stub::ListAddressSpaces,
                             request, sink);
}

absl::Status Client::MigrateDomain(const v1::MigrateDomainRequest& request,
                                   Sink<v1::MigrateDomainResponse> sink,
                                   const CallLimits& limits) const {
  return connection_->Stream(&v1::MigrationService::Stub::MigrateDomain,
                             request, sink, limits);
}

absl::Status Client::SaveDomain(const v1::SaveDomainRequest::Start& start,
                                Sink<v1::SaveDomainResponse> sink,
                                const CallLimits& limits) const {
  SIMVISOR_RETURN_IF_ERROR(CheckStrings(start));
  grpc::ClientContext context;
  connection_->Prepare(context, limits.timeout);
  const CancelWhen cancel(context, limits.must_end);
  const auto stream =
      StubOf<v1::MigrationService>(connection_->stubs).SaveDomain(&context);
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
  return sunk.ok() ? connection_->Explain(status, MethodOf(request)) : sunk;
}

absl::StatusOr<v1::RestoreDomainResponse> Client::RestoreDomain(
    const v1::RestoreOptions& options,
    absl::FunctionRef<absl::StatusOr<bool>(std::string*)> source,
    const CallLimits& limits) const {
  SIMVISOR_RETURN_IF_ERROR(CheckStrings(options));
  grpc::ClientContext context;
  connection_->Prepare(context, limits.timeout);
  const CancelWhen cancel(context, limits.must_end);
  v1::RestoreDomainResponse response;
  const auto stream = StubOf<v1::MigrationService>(connection_->stubs)
                          .RestoreDomain(&context, &response);
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
  if (!status.ok()) return connection_->Explain(status, MethodOf(request));
  connection_->Hook(response);
  return response;
}

std::unique_ptr<MemoryOpsStream> Client::StreamMemoryOps() const {
  return std::make_unique<MemoryOpsStream>(
      connection_->channel, connection_->address, connection_->options.timeout,
      connection_->options.on_response);
}

std::unique_ptr<MmuStream> Client::SubscribeMmu() const {
  return std::make_unique<MmuStream>(connection_->channel, connection_->address,
                                     connection_->options.on_response);
}

absl::Status Client::CallMethod(
    const google::protobuf::MethodDescriptor& method,
    const google::protobuf::Message& request,
    google::protobuf::Message& response, const CallLimits& limits) const {
  SIMVISOR_RETURN_IF_ERROR(CheckStrings(request));
  grpc::ClientContext context;
  connection_->Prepare(context, limits.timeout);
  const CancelWhen cancel(context, limits.must_end);
  return connection_->Explain(
      GenericCall(connection_->channel, context, method, request, response),
      method.name());
}

}  // namespace simvisor::client
