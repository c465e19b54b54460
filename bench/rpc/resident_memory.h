// How much memory a process takes.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BENCH_RPC_RESIDENT_MEMORY_H_
#define SIMVISOR_BENCH_RPC_RESIDENT_MEMORY_H_

#include <sys/types.h>

#include "absl/status/statusor.h"

namespace simvisor::bench {

// Bytes of process `pid` that are resident; page tables are not among them.
absl::StatusOr<double> ResidentBytes(pid_t pid);

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_RESIDENT_MEMORY_H_
