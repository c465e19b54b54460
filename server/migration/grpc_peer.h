// The daemon at the other end of a migration, on a connection of gRPC's.
//
// What a peer says is not believed to be fit for a terminal; see FromPeer().
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
  // Waits `window` for it, by `clock`, which outlives this object.
  GrpcPeer(PeerAddress address, Clock* clock, Clock::Time::duration window)
      : address_(std::move(address)), clock_(clock), window_(window) {}

  std::string address() const override { return address_.ToString(); }
  // Each on a connection of its own, made with its call: an attempt that failed
  // does not hold up the next.  A peer that does not answer for a quarter of a
  // minute counts as gone.
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
