// How many connections the daemon keeps open, and for how long.
//
// Each connection takes a descriptor.  The bound is below the process's limit
// on descriptors, so that a descriptor is always left for gRPC, migrations and
// the daemon's own files.
//
// Thread safety: pure functions and values, except for the process's limit.

#ifndef SIMVISOR_SERVER_LISTEN_CONNECTION_LIMITS_H_
#define SIMVISOR_SERVER_LISTEN_CONNECTION_LIMITS_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace simvisor::server {

inline constexpr uint32_t kDefaultMaxConnections = 1024;
inline constexpr absl::Duration kDefaultHandshakeTimeout = absl::Seconds(5);
inline constexpr absl::Duration kDefaultIdleTimeout = absl::Minutes(1);

struct ConnectionLimits {
  // Connections open at the same time, over all addresses; at least 1.
  uint32_t max_connections = kDefaultMaxConnections;
  // How long a new connection may take to send what HTTP/2 begins with.
  absl::Duration handshake_timeout = kDefaultHandshakeTimeout;
  // How long a connection may send nothing before it may be closed for a new
  // one.  A client with a call is heard twice in that time.
  absl::Duration idle_timeout = kDefaultIdleTimeout;

  // The most connections of one peer: three quarters, so that a single peer
  // cannot lock the others out.
  uint32_t max_per_peer() const {
    return max_connections - max_connections / 4;
  }
};

// Raises the process's limit on open descriptors to the hard limit.  Returns
// the limit in effect afterwards: the old one if the system refuses.
uint64_t RaiseDescriptorLimit();

// The bound on connections for a process that may open `descriptors` files.
// Connections may use all except 64 of them, or half of them if that is more.
//
// Returns `wanted` if it fits, else INVALID_ARGUMENT.  Without `wanted`,
// returns kDefaultMaxConnections or as many as fit.
absl::StatusOr<uint32_t> MaxConnections(std::optional<uint32_t> wanted,
                                        uint64_t descriptors);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_CONNECTION_LIMITS_H_
