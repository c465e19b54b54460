#include "server/peer.h"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "domain/units/error.h"
#include "domain/units/status_macros.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/argument.h"
#include "server/listen_address.h"

namespace simvisor::server {
namespace {

constexpr int kMaxMessageBytes = 4 << 20;
constexpr int kPingEveryMs = 10000;
constexpr int kPingTimeoutMs = 5000;
constexpr std::chrono::seconds kAskTimeout{5};

// The reason that the peer gives; INTERNAL for one that is not known here.
Reason ReasonIn(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (details.ParseFromString(status.error_details()) &&
      details.details_size() == 1 && details.details(0).UnpackTo(&info)) {
    for (const Reason reason : AllReasons()) {
      if (ReasonName(reason) == info.reason()) return reason;
    }
  }
  return Reason::kInternal;
}

}  // namespace

absl::StatusOr<std::unique_ptr<v1::MigrationService::Stub>> ConnectPeer(
    absl::string_view address) {
  const absl::StatusOr<ListenAddress> parsed = ListenAddress::Parse(address);
  if (!parsed.ok())
    return ArgumentMalformed("target", parsed.status().message());
  if (!parsed->is_unix() && parsed->port() == 0) {
    return ArgumentMalformed("target",
                             "port 0 is no port to reach a daemon at");
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kPingEveryMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  return v1::MigrationService::NewStub(grpc::CreateCustomChannel(
      parsed->GrpcAddress(), grpc::InsecureChannelCredentials(), arguments));
}

absl::Status FromPeer(const grpc::Status& status, absl::string_view operation,
                      absl::string_view address) {
  if (status.ok()) return absl::OkStatus();
  if (!status.error_details().empty()) {
    return MakeError(static_cast<absl::StatusCode>(status.error_code()),
                     ReasonIn(status),
                     absl::StrCat(operation, ": ", address,
                                  " says: ", status.error_message()));
  }
  // What follows the last ": ", which in gRPC's chains of causes is the error
  // of the operating system.
  const std::string message = status.error_message();
  absl::string_view cause = message;
  const size_t colon = cause.rfind(": ");
  if (colon != absl::string_view::npos) cause.remove_prefix(colon + 2);
  const bool other = status.error_code() == grpc::StatusCode::UNIMPLEMENTED;
  return MakeError(
      absl::StatusCode::kUnavailable, Reason::kTargetUnreachable,
      absl::StrCat(operation, ": ", address, " cannot be reached: ", cause,
                   other ? "; it is no simvisord like this"
                         : "; is simvisord running there?"));
}

absl::StatusOr<SourceEvent> AskPeer(grpc::ClientContext& context,
                                    absl::string_view address,
                                    absl::string_view migration_id) {
  SIMVISOR_ASSIGN_OR_RETURN(const auto stub, ConnectPeer(address));
  context.set_deadline(std::chrono::system_clock::now() + kAskTimeout);
  v1::ResolveMigrationRequest request;
  request.set_migration_id(std::string(migration_id));
  request.set_decision(v1::MIGRATION_DECISION_DROP_UNLESS_COMMITTED);
  v1::ResolveMigrationResponse response;
  const grpc::Status status =
      stub->ResolveMigration(&context, request, &response);
  if (status.ok()) {
    return response.migration().state() == v1::MIGRATION_STATE_COMMITTED
               ? SourceEvent::kCommitted
               : SourceEvent::kDropped;
  }
  if (!status.error_details().empty() &&
      ReasonIn(status) == Reason::kMigrationNotFound) {
    return SourceEvent::kNeverHeardOf;
  }
  return FromPeer(status, absl::StrCat("migration ", migration_id), address);
}

}  // namespace simvisor::server
