// How many connections the daemon keeps open, and for how long.
//
// Each connection takes a descriptor.  The bound lies below the process's limit
// of descriptors, so that gRPC, migrations and the daemon's own files never
// find the last one taken.
//
// Thread safety: pure functions and values, but for the process's limit.

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
  // Open at the same time, over all addresses; at least 1.
  uint32_t max_connections = kDefaultMaxConnections;
  // Until a new connection has sent what HTTP/2 begins with.
  absl::Duration handshake_timeout = kDefaultHandshakeTimeout;
  // After which a connection from which nothing comes may be closed for a new
  // one.  A client that has a call is heard twice in that time.
  absl::Duration idle_timeout = kDefaultIdleTimeout;

  // How many of them one peer may have: three quarters, so that no single one
  // locks the others out.
  uint32_t max_per_peer() const {
    return max_connections - max_connections / 4;
  }
};

// Raises the process's limit of open descriptors to the hard limit.  Returns
// the limit that holds then: the old one if the system refuses.
uint64_t RaiseDescriptorLimit();

// The bound on connections for a process that may open `descriptors` files. All
// but 64 of them, or half if that is more, can be connections.
//
// Returns `wanted` if it fits, INVALID_ARGUMENT if not.  Without `wanted`,
// kDefaultMaxConnections or as many as fit.
absl::StatusOr<uint32_t> MaxConnections(std::optional<uint32_t> wanted,
                                        uint64_t descriptors);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_CONNECTION_LIMITS_H_
