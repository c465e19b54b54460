// Measurements while a crowd of domains exists.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BENCH_RPC_CROWD_PARTS_H_
#define SIMVISOR_BENCH_RPC_CROWD_PARTS_H_

#include "absl/status/status.h"
#include "bench/rpc/crowd.h"
#include "bench/rpc/scenario.h"

namespace simvisor::bench {

// ListDomains: the first page of 1000, and all pages.
absl::Status MeasureList(const Site& site, const Crowd& crowd, Report& report);

// SetMemoryTarget in steps that move pages, on one domain after the other, by
// one client and by four, alternating with calls that do nothing.
absl::Status MeasureTarget(const Site& site, const Crowd& crowd, int rounds,
                           Report& report);

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_CROWD_PARTS_H_
