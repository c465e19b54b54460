// Where the daemon listens by default.
//
// Thread safety: pure functions, except for the folder that is made.

#ifndef SIMVISOR_SERVER_LISTEN_DEFAULT_ADDRESS_H_
#define SIMVISOR_SERVER_LISTEN_DEFAULT_ADDRESS_H_

#include <sys/types.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/listen/listen_address.h"

namespace simvisor::server {

// Path of the socket for a user: in the runtime folder (XDG_RUNTIME_DIR) if
// there is one, else in /run for root, else in the user's own folder below
// /tmp.  A client without an address looks here too.
std::string DefaultSocketPath(const std::optional<std::string>& runtime_dir,
                              uid_t uid);

// Makes the folder `path` with mode 0700, or accepts an existing one.
//
// FAILED_PRECONDITION if it is not a folder, belongs to another user, or lets
// others in: it may be a trap.  Otherwise the system's error.
absl::Status EnsurePrivateFolder(const std::string& path, uid_t uid);

// The default address for this process; makes the folder below /tmp if it is
// used.
absl::StatusOr<ListenAddress> DefaultListenAddress();

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_DEFAULT_ADDRESS_H_
