// The daemon at the other end of a migration, reached by gRPC.
//
// A peer's text may contain control characters; FromPeer() makes it printable.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_MIGRATION_GRPC_PEER_H_
#define SIMVISOR_SERVER_MIGRATION_GRPC_PEER_H_

#include <grpcpp/support/status.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "server/migration/peer_address.h"
#include "server/sessions/peer.h"
#include "server/threads/clock.h"

namespace simvisor::server {

class GrpcPeer final : public Peer {
 public:
  // Each wait on a stream lasts at most `window` of `clock`, which must outlive
  // this object.
  GrpcPeer(PeerAddress address, Clock* clock, Clock::Time::duration window)
      : address_(std::move(address)), clock_(clock), window_(window) {}

  std::string address() const override { return address_.ToString(); }
  // Each has its own connection, opened with its call, so a failed attempt does
  // not delay the next.  A peer that does not answer pings for 15 s counts as
  // gone.
  std::unique_ptr<PeerStream> MakeStream() const override;
  std::shared_ptr<PeerQuestion> MakeQuestion(
      absl::string_view migration_id) const override;

 private:
  const PeerAddress address_;
  Clock* const clock_;
  const Clock::Time::duration window_;
};

// UNKNOWN for a code that gRPC does not have.
PeerStatus ToPeerStatus(const grpc::Status& status);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_GRPC_PEER_H_
