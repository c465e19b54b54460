#include "server/migration/peer.h"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/quote.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace simvisor::server {
namespace {

constexpr int kMaxReceivedBytes = 4 << 20;
constexpr int kPingEveryMs = 10000;
constexpr int kPingTimeoutMs = 5000;
constexpr std::chrono::seconds kAskTimeout{5};
// Of what a peer says in a message of ours.
constexpr size_t kMaxSaidBytes = 512;

std::string Said(absl::string_view text) {
  return Shortened(Printable(text), kMaxSaidBytes);
}

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

// UNKNOWN for a code that gRPC does not have.
absl::StatusCode CodeOf(const grpc::Status& status) {
  const int code = status.error_code();
  return code > 0 && code <= static_cast<int>(grpc::StatusCode::UNAUTHENTICATED)
             ? static_cast<absl::StatusCode>(code)
             : absl::StatusCode::kUnknown;
}

}  // namespace

std::unique_ptr<v1::MigrationService::Stub> ConnectPeer(
    const PeerAddress& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxReceivedBytes);
  // As at the daemon: gRPC would inflate answers of any length.
  arguments.SetInt(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kPingEveryMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A proxy of the environment's would be another target than that which was
  // allowed.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return v1::MigrationService::NewStub(grpc::CreateCustomChannel(
      address.GrpcAddress(), grpc::InsecureChannelCredentials(), arguments));
}

absl::Status FromPeer(const grpc::Status& status, absl::string_view operation,
                      const PeerAddress& address) {
  if (status.ok()) return absl::OkStatus();
  if (status.error_details().empty()) {
    return Unreachable(operation, address,
                       absl::StrCat("code ", status.error_code(), ": ",
                                    status.error_message()));
  }
  return MakeError(CodeOf(status), ReasonIn(status),
                   absl::StrCat(operation, ": ", address.ToString(),
                                " says: ", Said(status.error_message())));
}

absl::Status Unreachable(absl::string_view operation,
                         const PeerAddress& address, absl::string_view cause) {
  spdlog::info("{}: {} cannot be reached: {}", std::string(operation),
               address.ToString(), Said(cause));
  return MakeError(
      absl::StatusCode::kUnavailable, Reason::kTargetUnreachable,
      absl::StrCat(operation, ": ", address.ToString(),
                   " cannot be reached, or no simvisord like this one answers "
                   "there; the log of this daemon has the cause"));
}

PeerQuestion::PeerQuestion(PeerAddress address, absl::string_view migration_id)
    : address_(std::move(address)), stub_(ConnectPeer(address_)) {
  request_.set_migration_id(std::string(migration_id));
  request_.set_decision(v1::MIGRATION_DECISION_DROP_UNLESS_COMMITTED);
}

void PeerQuestion::Ask(Done done) {
  context_.set_deadline(std::chrono::system_clock::now() + kAskTimeout);
  stub_->async()->ResolveMigration(
      &context_, &request_, &response_,
      [self = shared_from_this(), done = std::move(done)](
          const grpc::Status& status) { done(self->Read(status)); });
}

absl::StatusOr<SourceEvent> PeerQuestion::Read(
    const grpc::Status& status) const {
  const std::string operation =
      absl::StrCat("migration ", request_.migration_id());
  if (!status.ok()) {
    if (!status.error_details().empty() &&
        ReasonIn(status) == Reason::kMigrationNotFound) {
      return SourceEvent::kNeverHeardOf;
    }
    return FromPeer(status, operation, address_);
  }
  // Anything but a final answer about this one is none: the domain's fate hangs
  // on it.
  const v1::Migration& said = response_.migration();
  if (said.migration_id() == request_.migration_id()) {
    if (said.state() == v1::MIGRATION_STATE_COMMITTED) {
      return SourceEvent::kCommitted;
    }
    if (said.state() == v1::MIGRATION_STATE_DROPPED) {
      return SourceEvent::kDropped;
    }
  }
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kTargetMisbehaved,
      absl::StrCat(operation, ": ", address_.ToString(),
                   " was asked and answered about another one, or neither "
                   "committed nor dropped"));
}

}  // namespace simvisor::server
