// Ends an interrupted measurement cleanly, so that the daemon it started ends
// too.
//
// Thread safety: thread-safe, once CatchStopSignals() was called.

#ifndef SIMVISOR_BENCH_RPC_STOP_SIGNALS_H_
#define SIMVISOR_BENCH_RPC_STOP_SIGNALS_H_

#include "absl/status/status.h"

namespace simvisor::bench {

// After this call SIGINT, SIGTERM and SIGHUP make StopCheck() fail instead of
// ending the process, and so does SIGPIPE, when the reader of the figures goes
// away.  A second one of the first three ends the process.
void CatchStopSignals();

// CANCELLED after one of the signals.
absl::Status StopCheck();

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_STOP_SIGNALS_H_
