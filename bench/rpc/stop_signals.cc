#include "bench/rpc/stop_signals.h"

#include <signal.h>

namespace simvisor::bench {
namespace {

volatile sig_atomic_t stopped = 0;

void Stop(int /*signal*/) { stopped = 1; }

}  // namespace

void CatchStopSignals() {
  struct sigaction action = {};
  action.sa_handler = Stop;
  // Without SA_RESTART, so that a wait for a daemon ends as well.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    sigaction(signal, &action, nullptr);
  }
  // SIGPIPE comes again with every figure until the run has ended.
  action.sa_flags = 0;
  sigaction(SIGPIPE, &action, nullptr);
}

absl::Status StopCheck() {
  if (stopped == 0) return absl::OkStatus();
  return absl::CancelledError("interrupted");
}

}  // namespace simvisor::bench
