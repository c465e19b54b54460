// Sockets that listen at a TCP address.
//
// Thread safety: pure functions, except for the sockets that they make.

#ifndef SIMVISOR_SERVER_LISTEN_TCP_SOCKETS_H_
#define SIMVISOR_SERVER_LISTEN_TCP_SOCKETS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "server/listen/listen_address.h"
#include "server/listen/unique_fd.h"

namespace simvisor::server {

// Listens at every address of the host of `address`, all with one port; a name
// may have several addresses.  0.0.0.0 means all IPv4 addresses, [::] all
// addresses of both kinds.  Another socket cannot share the port.
//
// INVALID_ARGUMENT if the host cannot be resolved, FAILED_PRECONDITION if the
// port is in use; otherwise the system's error.
// REQUIRES: !address.is_unix().
absl::StatusOr<std::vector<UniqueFd>> ListenOnTcp(const ListenAddress& address,
                                                  int backlog);

// The port of `sockets`, which ListenOnTcp() made.
int PortOf(const std::vector<UniqueFd>& sockets);

// True if it is impossible to listen at `address`, which has the port of one of
// `sockets`, besides them.
bool Overlaps(const std::vector<UniqueFd>& sockets,
              const ListenAddress& address);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_TCP_SOCKETS_H_
