// How much memory a process uses.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BENCH_RPC_RESIDENT_MEMORY_H_
#define SIMVISOR_BENCH_RPC_RESIDENT_MEMORY_H_

#include <sys/types.h>

#include "absl/status/statusor.h"

namespace simvisor::bench {

// Resident bytes of process `pid`; excludes page tables.
absl::StatusOr<double> ResidentBytes(pid_t pid);

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_RESIDENT_MEMORY_H_
