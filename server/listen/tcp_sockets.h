// Sockets that listen at a TCP address.
//
// Thread safety: pure functions, but for the sockets that they make.

#ifndef SIMVISOR_SERVER_LISTEN_TCP_SOCKETS_H_
#define SIMVISOR_SERVER_LISTEN_TCP_SOCKETS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "server/listen/listen_address.h"
#include "server/listen/unique_fd.h"

namespace simvisor::server {

// Listens at every address that the host of `address` stands for, of which a
// name may have several, all with one port.  0.0.0.0 stands for all IPv4
// addresses, [::] for all of both kinds.  Another socket cannot share the port.
//
// INVALID_ARGUMENT if the host cannot be resolved, FAILED_PRECONDITION if the
// port is taken; otherwise as the system says.  REQUIRES: !address.is_unix().
absl::StatusOr<std::vector<UniqueFd>> ListenOnTcp(const ListenAddress& address,
                                                  int backlog);

// The port that `sockets`, made by ListenOnTcp(), have.
int PortOf(const std::vector<UniqueFd>& sockets);

// True if `address`, whose port is one of a socket of `sockets`, cannot be
// listened at beside them.
bool Overlaps(const std::vector<UniqueFd>& sockets,
              const ListenAddress& address);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_TCP_SOCKETS_H_
