// Who is at the other end of a connection, as far as the system knows.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_LISTEN_PEER_NAME_H_
#define SIMVISOR_SERVER_LISTEN_PEER_NAME_H_

#include <string>

namespace simvisor::server {

// The peer of the connected socket `fd`: "process 1234" for a unix socket, the
// address without the port for TCP, "an unknown peer" if the system does not
// say.
std::string PeerName(int fd);

// Whether the peer of the connected socket `fd` is on a unix socket, and was
// run by this process's user or by root when it connected.
bool IsOwner(int fd);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_PEER_NAME_H_
