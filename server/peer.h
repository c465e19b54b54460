// The daemon at the other end of a migration.
//
// Thread safety: functions may be called from any thread.

#ifndef SIMVISOR_SERVER_PEER_H_
#define SIMVISOR_SERVER_PEER_H_

#include <grpcpp/client_context.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/migration/handover.h"
#include "simvisor/v1/migration_service.grpc.pb.h"

namespace simvisor::server {

// A stub on a connection of its own, made with the first call: an attempt that
// failed does not hold up the next.  A peer that does not answer for a quarter
// of a minute counts as gone.  INVALID_ARGUMENT ARGUMENT_MALFORMED for what is
// no address.
absl::StatusOr<std::unique_ptr<v1::MigrationService::Stub>> ConnectPeer(
    absl::string_view address);

// A status of the peer's, with its reason, or of the connection to it, which
// becomes UNAVAILABLE TARGET_UNREACHABLE.  `operation` begins the message.
absl::Status FromPeer(const grpc::Status& status, absl::string_view operation,
                      absl::string_view address);

// Asks a target to drop a migration unless it has committed it: what it
// answers, or UNAVAILABLE TARGET_UNREACHABLE.  Takes a few seconds at most;
// `context` can be cancelled meanwhile.
absl::StatusOr<SourceEvent> AskPeer(grpc::ClientContext& context,
                                    absl::string_view address,
                                    absl::string_view migration_id);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_PEER_H_
