// A thin typed client of the daemon.
//
//   auto client = Client::Create("unix:/run/simvisor.sock", {});
//   v1::GetDomainRequest request;
//   request.mutable_domain()->set_name("web");
//   absl::StatusOr<v1::GetDomainResponse> response = (*client)->Call(request);
//
// Responses are returned as absl::StatusOr, errors as FromGrpc() makes them.  A
// streaming method passes each response to a sink; a sink that returns an error
// cancels the call, and the call returns that error.  Calls fail at once while
// the daemon cannot be reached.  INVALID_ARGUMENT, without a call, if a string
// of a request is not UTF-8.
//
// Only sources of this folder include headers of gRPC and of its generated
// stubs: they take seconds to compile.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_CLIENT_API_CLIENT_H_
#define SIMVISOR_CLIENT_API_CLIENT_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/api/memory_ops_stream.h"
#include "client/api/mmu_stream.h"
#include "client/api/unary_methods.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "simvisor/v1/address_space_service.pb.h"
#include "simvisor/v1/domain_service.pb.h"
#include "simvisor/v1/host_service.pb.h"
#include "simvisor/v1/memory_service.pb.h"
#include "simvisor/v1/migration_service.pb.h"
#include "simvisor/v1/secondary_mmu_service.pb.h"

namespace simvisor::client {

// What ends a call early, besides Client::Options::timeout.
struct CallLimits {
  // DEADLINE_EXCEEDED once it has passed.
  absl::Duration timeout = absl::InfiniteDuration();
  // Asked several times a second on another thread, unless it is empty;
  // CANCELLED soon after it returns true.
  std::function<bool()> must_end = {};
};

class Client {
 public:
  struct Options {
    // Deadline of every call; unset means none.
    std::optional<absl::Duration> timeout;
    // Called with a response before the caller sees it, and may change it; may
    // be empty, and must be callable from any thread.  Not called for the
    // pieces of an image (SaveDomain), which hold no text, nor for responses of
    // CallMethod().
    ResponseHook on_response;
  };

  template <typename Response>
  using Sink = absl::FunctionRef<absl::Status(const Response&)>;

  // A client of the daemon at `address`.  Connects on the first call.
  // INVALID_ARGUMENT as for CheckAddress().
  static absl::StatusOr<std::unique_ptr<Client>> Create(
      absl::string_view address, const Options& options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Calls the unary method that takes a Request, any method of unary_methods.h:
  // GetDomain for a v1::GetDomainRequest, with a v1::GetDomainResponse as the
  // result.  INTERNAL if a response that must have one entry for each number in
  // the request (TranslatePfns, ...) has more or fewer.
  template <typename Request>
  absl::StatusOr<ResponseTo<Request>> Call(const Request& request,
                                           const CallLimits& limits = {}) const;

  // All pages of ListDomains in one response.
  absl::StatusOr<v1::ListDomainsResponse> ListAllDomains() const;
  // All pages of ListVcpus from the page of `request` on, in one response.
  absl::StatusOr<v1::ListVcpusResponse> ListAllVcpus(
      v1::ListVcpusRequest request) const;
  // All pages of ListMigrations in one response; DEADLINE_EXCEEDED once
  // `timeout` has passed.
  absl::StatusOr<v1::ListMigrationsResponse> ListAllMigrations(
      absl::Duration timeout = absl::InfiniteDuration()) const;

  // All pages of ListSecondaryMmus from the page of `request` on, in one
  // response.
  absl::StatusOr<v1::ListSecondaryMmusResponse> ListAllSecondaryMmus(
      v1::ListSecondaryMmusRequest request) const;

  // Methods that answer with a stream.
  absl::Status ListSecondaryMappings(
      const v1::ListSecondaryMappingsRequest& request,
      Sink<v1::ListSecondaryMappingsResponse> sink) const;
  absl::Status LookupFrames(const v1::LookupFramesRequest& request,
                            Sink<v1::LookupFramesResponse> sink) const;
  absl::Status ReadFrames(const v1::ReadFramesRequest& request,
                          Sink<v1::ReadFramesResponse> sink) const;
  absl::Status ListP2mRuns(const v1::ListP2mRunsRequest& request,
                           Sink<v1::ListP2mRunsResponse> sink) const;
  absl::Status ListAddressSpaces(
      const v1::ListAddressSpacesRequest& request,
      Sink<v1::ListAddressSpacesResponse> sink) const;
  // Migrates a domain and passes its progress to `sink`.
  absl::Status MigrateDomain(const v1::MigrateDomainRequest& request,
                             Sink<v1::MigrateDomainResponse> sink,
                             const CallLimits& limits = {}) const;

  // Saves a domain.  Passes each piece of the image to `sink`; once the sink
  // has accepted the last piece, the image counts as stored, and the daemon
  // finishes with the domain.
  absl::Status SaveDomain(const v1::SaveDomainRequest::Start& start,
                          Sink<v1::SaveDomainResponse> sink,
                          const CallLimits& limits = {}) const;
  // Restores a domain from the pieces that `source` fills in, one after the
  // other, until `source` returns false.  An error of `source` cancels the
  // call.
  absl::StatusOr<v1::RestoreDomainResponse> RestoreDomain(
      const v1::RestoreOptions& options,
      absl::FunctionRef<absl::StatusOr<bool>(std::string*)> source,
      const CallLimits& limits = {}) const;

  // Opens a stream of operations.  The client must outlive it.
  std::unique_ptr<MemoryOpsStream> StreamMemoryOps() const;

  // Opens the stream of a secondary MMU, which has no timeout.  The client must
  // outlive it.
  std::unique_ptr<MmuStream> SubscribeMmu() const;

  // Calls any method with a single request; merges its responses, one or many,
  // into `response` in order.
  // REQUIRES: `request` and `response` have the method's types.
  absl::Status CallMethod(const google::protobuf::MethodDescriptor& method,
                          const google::protobuf::Message& request,
                          google::protobuf::Message& response,
                          const CallLimits& limits) const;

 private:
  struct Connection;

  explicit Client(std::unique_ptr<const Connection> connection);

  const std::unique_ptr<const Connection> connection_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_CLIENT_H_
