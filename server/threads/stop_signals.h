// The signals that end the daemon: SIGTERM, SIGINT and SIGHUP.
//
// The first signal starts a drain.  Further ones do not cut it short, since
// programs such as timeout(1) send two at a time.  Only a SIGINT after the
// first second of the drain ends the process at once, as expected of a second
// Ctrl-C.
//
// Thread safety: the functions are for the main thread.

#ifndef SIMVISOR_SERVER_THREADS_STOP_SIGNALS_H_
#define SIMVISOR_SERVER_THREADS_STOP_SIGNALS_H_

#include <atomic>
#include <thread>

#include "absl/time/time.h"
#include "server/threads/clock.h"

namespace simvisor::server {

// Blocks the signals, so that only the two below receive them.
// REQUIRES: there are no other threads, since threads inherit the mask.
//
// Leaves SIGHUP out if the process was started with it ignored (nohup).
void BlockStopSignals();

// Waits for a signal and returns it.
// REQUIRES: BlockStopSignals() was called.
int AwaitStopSignal();

// Receives the signals while the daemon drains: logs them, and ends the process
// on SIGINT as described above.  Ends it with code 1 if the drain takes longer
// than its limit, so a drain that hangs cannot keep the process alive.
//
// REQUIRES: BlockStopSignals() was called.
class DrainWatch {
 public:
  explicit DrainWatch(absl::Duration limit);
  DrainWatch(const DrainWatch&) = delete;
  DrainWatch& operator=(const DrainWatch&) = delete;
  // The drain is over.
  ~DrainWatch();

 private:
  void Run();
  void Take(int signal_number) const;

  const Clock::Time start_;
  const Clock::Time deadline_;
  std::atomic<bool> over_ = false;  // set before the thread is woken
  std::thread thread_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_STOP_SIGNALS_H_
