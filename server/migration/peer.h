// The daemon at the other end of a migration.
//
// What a peer says is not believed to be fit for a terminal: its messages are
// made printable and cut before they become part of a status of ours.
//
// Thread safety: functions may be called from any thread; PeerQuestion is
// thread-safe.

#ifndef SIMVISOR_SERVER_MIGRATION_PEER_H_
#define SIMVISOR_SERVER_MIGRATION_PEER_H_

#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/migration/handover.h"
#include "server/migration/peer_address.h"
#include "simvisor/v1/migration_service.grpc.pb.h"

namespace simvisor::server {

// A stub on a connection of its own, made with the first call: an attempt that
// failed does not hold up the next.  A peer that does not answer for a quarter
// of a minute counts as gone.
std::unique_ptr<v1::MigrationService::Stub> ConnectPeer(
    const PeerAddress& address);

// A status of the peer's, with its reason, or of the connection to it, which
// becomes Unreachable().  `operation` begins the message.
absl::Status FromPeer(const grpc::Status& status, absl::string_view operation,
                      const PeerAddress& address);

// UNAVAILABLE TARGET_UNREACHABLE, the same whatever the cause is, so that
// nobody learns from it what there is at an address; `cause` goes to the log.
absl::Status Unreachable(absl::string_view operation,
                         const PeerAddress& address, absl::string_view cause);

// One question to a target: to drop a migration unless it has committed it.
class PeerQuestion : public std::enable_shared_from_this<PeerQuestion> {
 public:
  // What it answers, or why there is no answer.
  using Done = std::function<void(absl::StatusOr<SourceEvent>)>;

  PeerQuestion(PeerAddress address, absl::string_view migration_id);

  // Asks, once.  `done` is called within a few seconds, on a thread of gRPC's.
  void Ask(Done done);
  // Makes `done` come soon; may be called before Ask().
  void Cancel() { context_.TryCancel(); }

 private:
  absl::StatusOr<SourceEvent> Read(const grpc::Status& status) const;

  const PeerAddress address_;
  const std::unique_ptr<v1::MigrationService::Stub> stub_;
  grpc::ClientContext context_;
  v1::ResolveMigrationRequest request_;
  v1::ResolveMigrationResponse response_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_PEER_H_
