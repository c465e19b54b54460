// Ends a measurement that is interrupted in an orderly way, so that the daemon
// it started ends too.
//
// Thread safety: thread-safe, once CatchStopSignals() was called.

#ifndef SIMVISOR_BENCH_RPC_STOP_SIGNALS_H_
#define SIMVISOR_BENCH_RPC_STOP_SIGNALS_H_

#include "absl/status/status.h"

namespace simvisor::bench {

// From now on SIGINT, SIGTERM and SIGHUP turn StopCheck() instead of ending the
// process, and so does SIGPIPE, when the reader of the figures goes away.  A
// second one of the first three ends it.
void CatchStopSignals();

// CANCELLED once a signal came.
absl::Status StopCheck();

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_STOP_SIGNALS_H_
