// Clients of the daemon, each with its own connection.
//
// Thread safety: pure functions; channels are thread-safe.

#ifndef SIMVISOR_BENCH_RPC_CONNECTIONS_H_
#define SIMVISOR_BENCH_RPC_CONNECTIONS_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace simvisor::bench {

using Connections = std::vector<std::shared_ptr<grpc::Channel>>;

// Connects `count` times to the daemon at `address`.  INVALID_ARGUMENT if the
// address is malformed, UNAVAILABLE if no daemon answers.
absl::StatusOr<Connections> Connect(const std::string& address, int count);

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_CONNECTIONS_H_
