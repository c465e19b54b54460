// Why a server could not listen.
//
// gRPC says that it failed, and not for which address or why.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_SERVER_PROBE_ADDRESS_H_
#define SIMVISOR_SERVER_PROBE_ADDRESS_H_

#include <vector>

#include "absl/status/status.h"
#include "server/listen_address.h"

namespace simvisor::server {

// Binds to one address after the other and says which the system refuses and
// why; UNAVAILABLE if it refuses none now.  REQUIRES: the caller holds the
// guard of every unix path.
absl::Status WhyNotListening(const std::vector<ListenAddress>& listen);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_PROBE_ADDRESS_H_
