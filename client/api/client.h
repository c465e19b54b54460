// A thin typed client of the daemon: one method per RPC.
//
// Responses are returned as absl::StatusOr, errors as FromGrpc() makes them.  A
// streaming method passes each response to a sink; a sink that returns an error
// cancels the call, and the call returns that error.  Calls fail at once while
// the daemon cannot be reached.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_CLIENT_API_CLIENT_H_
#define SIMVISOR_CLIENT_API_CLIENT_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/api/memory_ops_stream.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "grpcpp/channel.h"
#include "simvisor/v1/address_space_service.grpc.pb.h"
#include "simvisor/v1/domain_service.grpc.pb.h"
#include "simvisor/v1/fault_service.grpc.pb.h"
#include "simvisor/v1/guest_load_service.grpc.pb.h"
#include "simvisor/v1/host_service.grpc.pb.h"
#include "simvisor/v1/memory_service.grpc.pb.h"
#include "simvisor/v1/migration_service.grpc.pb.h"

namespace simvisor::client {

class Client {
 public:
  struct Options {
    // Deadline of every call; unset means none.
    std::optional<absl::Duration> timeout;
    // Called with every response before the caller sees it, and may change it;
    // may be empty, and must be callable from any thread.  Not called for
    // responses of CallMethod().
    ResponseHook on_response;
  };

  template <typename Response>
  using Sink = absl::FunctionRef<absl::Status(const Response&)>;

  // A client of the daemon at `address`.  Connects on the first call.
  // INVALID_ARGUMENT as for CheckAddress().
  static absl::StatusOr<std::unique_ptr<Client>> Create(
      absl::string_view address, const Options& options);

  // A client on an existing channel; `address` is used only in messages.
  Client(absl::string_view address, std::shared_ptr<grpc::Channel> channel,
         const Options& options);

  absl::StatusOr<v1::GetHostResponse> GetHost(
      const v1::GetHostRequest& request) const;
  absl::Status LookupFrames(const v1::LookupFramesRequest& request,
                            Sink<v1::LookupFramesResponse> sink) const;
  absl::Status ReadFrames(const v1::ReadFramesRequest& request,
                          Sink<v1::ReadFramesResponse> sink) const;
  absl::StatusOr<v1::AuditHostResponse> AuditHost(
      const v1::AuditHostRequest& request) const;

  absl::StatusOr<v1::CreateDomainResponse> CreateDomain(
      const v1::CreateDomainRequest& request) const;
  absl::StatusOr<v1::GetDomainResponse> GetDomain(
      const v1::GetDomainRequest& request) const;
  absl::StatusOr<v1::ListDomainsResponse> ListDomains(
      const v1::ListDomainsRequest& request) const;
  absl::StatusOr<v1::DestroyDomainResponse> DestroyDomain(
      const v1::DestroyDomainRequest& request) const;
  absl::StatusOr<v1::PauseDomainResponse> PauseDomain(
      const v1::PauseDomainRequest& request) const;
  absl::StatusOr<v1::UnpauseDomainResponse> UnpauseDomain(
      const v1::UnpauseDomainRequest& request) const;
  absl::StatusOr<v1::RenameDomainResponse> RenameDomain(
      const v1::RenameDomainRequest& request) const;
  absl::StatusOr<v1::SetVcpuAffinityResponse> SetVcpuAffinity(
      const v1::SetVcpuAffinityRequest& request) const;
  absl::StatusOr<v1::ListVcpusResponse> ListVcpus(
      const v1::ListVcpusRequest& request) const;

  // All pages of ListDomains in one response.
  absl::StatusOr<v1::ListDomainsResponse> ListAllDomains() const;
  // All pages of ListVcpus, beginning with that of `request`, in one response.
  absl::StatusOr<v1::ListVcpusResponse> ListAllVcpus(
      v1::ListVcpusRequest request) const;

  absl::StatusOr<v1::BalloonDownResponse> BalloonDown(
      const v1::BalloonDownRequest& request) const;
  absl::StatusOr<v1::BalloonUpResponse> BalloonUp(
      const v1::BalloonUpRequest& request) const;
  absl::StatusOr<v1::SetMemoryTargetResponse> SetMemoryTarget(
      const v1::SetMemoryTargetRequest& request) const;
  absl::StatusOr<v1::SetMaxMemoryResponse> SetMaxMemory(
      const v1::SetMaxMemoryRequest& request) const;
  absl::StatusOr<v1::MarkIdentityRangeResponse> MarkIdentityRange(
      const v1::MarkIdentityRangeRequest& request) const;
  absl::StatusOr<v1::SetP2mRangeResponse> SetP2mRange(
      const v1::SetP2mRangeRequest& request) const;
  absl::StatusOr<v1::TranslatePfnsResponse> TranslatePfns(
      const v1::TranslatePfnsRequest& request) const;
  absl::Status ListP2mRuns(const v1::ListP2mRunsRequest& request,
                           Sink<v1::ListP2mRunsResponse> sink) const;
  absl::StatusOr<v1::GetP2mSummaryResponse> GetP2mSummary(
      const v1::GetP2mSummaryRequest& request) const;
  absl::StatusOr<v1::GetMfnListListResponse> GetMfnListList(
      const v1::GetMfnListListRequest& request) const;
  absl::StatusOr<v1::ReadGuestMemoryResponse> ReadGuestMemory(
      const v1::ReadGuestMemoryRequest& request) const;
  absl::StatusOr<v1::WriteGuestMemoryResponse> WriteGuestMemory(
      const v1::WriteGuestMemoryRequest& request) const;
  absl::StatusOr<v1::TranslateMfnsResponse> TranslateMfns(
      const v1::TranslateMfnsRequest& request) const;
  absl::StatusOr<v1::MapForeignFramesResponse> MapForeignFrames(
      const v1::MapForeignFramesRequest& request) const;
  absl::StatusOr<v1::UnmapForeignFramesResponse> UnmapForeignFrames(
      const v1::UnmapForeignFramesRequest& request) const;

  // Opens a stream of operations.  The client must outlive it.
  std::unique_ptr<MemoryOpsStream> StreamMemoryOps() const;

  absl::StatusOr<v1::CreateAddressSpacesResponse> CreateAddressSpaces(
      const v1::CreateAddressSpacesRequest& request) const;
  absl::StatusOr<v1::DestroyAddressSpacesResponse> DestroyAddressSpaces(
      const v1::DestroyAddressSpacesRequest& request) const;
  absl::Status ListAddressSpaces(
      const v1::ListAddressSpacesRequest& request,
      Sink<v1::ListAddressSpacesResponse> sink) const;
  absl::StatusOr<v1::TranslateInAddressSpaceResponse> TranslateInAddressSpace(
      const v1::TranslateInAddressSpaceRequest& request) const;
  absl::StatusOr<v1::SyncAddressSpacesResponse> SyncAddressSpaces(
      const v1::SyncAddressSpacesRequest& request) const;

  absl::StatusOr<v1::AddFaultResponse> AddFault(
      const v1::AddFaultRequest& request) const;
  absl::StatusOr<v1::ListFaultsResponse> ListFaults(
      const v1::ListFaultsRequest& request) const;
  absl::StatusOr<v1::RemoveFaultsResponse> RemoveFaults(
      const v1::RemoveFaultsRequest& request) const;
  absl::StatusOr<v1::StartGuestLoadResponse> StartGuestLoad(
      const v1::StartGuestLoadRequest& request) const;
  absl::StatusOr<v1::GetGuestLoadResponse> GetGuestLoad(
      const v1::GetGuestLoadRequest& request) const;
  absl::StatusOr<v1::StopGuestLoadResponse> StopGuestLoad(
      const v1::StopGuestLoadRequest& request) const;
  absl::StatusOr<v1::CheckGuestLoadResponse> CheckGuestLoad(
      const v1::CheckGuestLoadRequest& request) const;

  // Saves a domain.  Passes each piece of the image to `sink`; once the sink
  // has accepted the last piece, the image counts as stored, and the daemon
  // finishes with the domain.
  absl::Status SaveDomain(const v1::SaveDomainRequest::Start& start,
                          Sink<v1::SaveDomainResponse> sink) const;
  // Restores a domain from the pieces that `source` fills in, one after the
  // other, until `source` returns false.  An error of `source` cancels the
  // call.
  absl::StatusOr<v1::RestoreDomainResponse> RestoreDomain(
      const v1::RestoreOptions& options,
      absl::FunctionRef<absl::StatusOr<bool>(std::string*)> source) const;

  // Migrates a domain and passes its progress to `sink`.
  absl::Status MigrateDomain(const v1::MigrateDomainRequest& request,
                             Sink<v1::MigrateDomainResponse> sink) const;
  absl::StatusOr<v1::ListMigrationsResponse> ListMigrations(
      const v1::ListMigrationsRequest& request) const;
  // All pages of ListMigrations in one response.
  absl::StatusOr<v1::ListMigrationsResponse> ListAllMigrations() const;
  absl::StatusOr<v1::ResolveMigrationResponse> ResolveMigration(
      const v1::ResolveMigrationRequest& request) const;

  // Calls any method with a single request; merges its responses, one or many,
  // into `response` in order.
  absl::Status CallMethod(const google::protobuf::MethodDescriptor& method,
                          const google::protobuf::Message& request,
                          google::protobuf::Message& response) const;

  const std::string& address() const { return address_; }

 private:
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(
      Stub& stub,
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request) const;
  template <typename Stub, typename Request, typename Response>
  absl::Status Stream(Stub& stub,
                      std::unique_ptr<grpc::ClientReader<Response>> (
                          Stub::*method)(grpc::ClientContext*, const Request&),
                      const Request& request, Sink<Response> sink) const;
  void Prepare(grpc::ClientContext& context) const;

  // Constant after construction.
  const std::string address_;
  const Options options_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::HostService::Stub> host_;
  const std::unique_ptr<v1::DomainService::Stub> domain_;
  const std::unique_ptr<v1::MemoryService::Stub> memory_;
  const std::unique_ptr<v1::AddressSpaceService::Stub> address_spaces_;
  const std::unique_ptr<v1::GuestLoadService::Stub> guest_loads_;
  const std::unique_ptr<v1::MigrationService::Stub> migration_;
  const std::unique_ptr<v1::FaultService::Stub> faults_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_CLIENT_H_
