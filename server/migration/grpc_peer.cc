#include "server/migration/grpc_peer.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <chrono>

#include "base/error.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/migration/convert_migration.h"
#include "server/migration/grpc_stream.h"
#include "simvisor/v1/migration_service.grpc.pb.h"

namespace simvisor::server {
namespace {

constexpr int kMaxAnswerBytes = 4 << 20;
constexpr int kPingEveryMs = 10000;
constexpr int kPingTimeoutMs = 5000;
constexpr std::chrono::seconds kAskTimeout{5};

std::unique_ptr<v1::MigrationService::Stub> Connect(
    const PeerAddress& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  // As in the daemon: gRPC would decompress answers of any length.
  arguments.SetInt(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kPingEveryMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A proxy from the environment would not be the target that was allowed.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return v1::MigrationService::NewStub(grpc::CreateCustomChannel(
      address.GrpcAddress(), grpc::InsecureChannelCredentials(), arguments));
}

// Empty if the peer gave none.
google::rpc::ErrorInfo ErrorInfoIn(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (details.ParseFromString(status.error_details()) &&
      details.details_size() == 1 && details.details(0).UnpackTo(&info)) {
    return info;
  }
  return {};
}

// INTERNAL for a reason that this daemon does not know.
Reason ReasonIn(const google::rpc::ErrorInfo& info) {
  for (const Reason reason : AllReasons()) {
    if (ReasonName(reason) == info.reason()) return reason;
  }
  return Reason::kInternal;
}

absl::StatusCode CodeOf(const grpc::Status& status) {
  const int code = status.error_code();
  return code >= 0 &&
                 code <= static_cast<int>(grpc::StatusCode::UNAUTHENTICATED)
             ? static_cast<absl::StatusCode>(code)
             : absl::StatusCode::kUnknown;
}

class GrpcQuestion final : public PeerQuestion,
                           public std::enable_shared_from_this<GrpcQuestion> {
 public:
  GrpcQuestion(const PeerAddress& address, absl::string_view migration_id)
      : address_(address.ToString()), stub_(Connect(address)) {
    request_.set_migration_id(std::string(migration_id));
    request_.set_decision(v1::MIGRATION_DECISION_DROP_UNLESS_COMMITTED);
  }

  void Ask(Done done) override {
    context_.set_deadline(std::chrono::system_clock::now() + kAskTimeout);
    stub_->async()->ResolveMigration(
        &context_, &request_, &response_,
        [self = shared_from_this(), done = std::move(done)](
            const grpc::Status& status) { done(self->Read(status)); });
  }
  void Cancel() override { context_.TryCancel(); }

 private:
  absl::StatusOr<SourceEvent> Read(const grpc::Status& status) const {
    const v1::Migration& said = response_.migration();
    return EventOf({.status = ToPeerStatus(status),
                    .id = said.migration_id(),
                    .state = FinalState(said.state())},
                   request_.migration_id(), address_);
  }

  const std::string address_;
  const std::unique_ptr<v1::MigrationService::Stub> stub_;
  grpc::ClientContext context_;
  v1::ResolveMigrationRequest request_;
  v1::ResolveMigrationResponse response_;
};

}  // namespace

std::unique_ptr<PeerStream> GrpcPeer::MakeStream() const {
  return std::make_unique<GrpcStream>(Connect(address_), clock_, window_);
}

std::shared_ptr<PeerQuestion> GrpcPeer::MakeQuestion(
    absl::string_view migration_id) const {
  return std::make_shared<GrpcQuestion>(address_, migration_id);
}

PeerStatus ToPeerStatus(const grpc::Status& status) {
  PeerStatus out;
  out.code = CodeOf(status);
  out.text = status.error_message();
  if (!status.ok() && !status.error_details().empty()) {
    const google::rpc::ErrorInfo info = ErrorInfoIn(status);
    out.reason = ReasonIn(info);
    for (const auto& [name, value] : info.metadata()) out.facts[name] = value;
  }
  return out;
}

}  // namespace simvisor::server
