// The baseline of every unary method: a health check of the same daemon, which
// carries no data and does nothing.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BENCH_RPC_EMPTY_CALLS_H_
#define SIMVISOR_BENCH_RPC_EMPTY_CALLS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "bench/rpc/connections.h"
#include "bench/rpc/load.h"

namespace simvisor::bench {

absl::StatusOr<Outcome> RunEmptyCalls(const Connections& connections,
                                      uint64_t calls, int in_flight);

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_EMPTY_CALLS_H_
