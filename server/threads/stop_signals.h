// The signals by which the daemon is told to end: SIGTERM, SIGINT and SIGHUP.
//
// The first one starts a drain.  Further ones do not cut it off, since programs
// such as timeout(1) send two at a time.  Only SIGINT, once the drain has gone
// on for a second, ends the process at once, as a second Ctrl-C is meant.
//
// Thread safety: the functions are for the main thread.

#ifndef SIMVISOR_SERVER_THREADS_STOP_SIGNALS_H_
#define SIMVISOR_SERVER_THREADS_STOP_SIGNALS_H_

#include <atomic>
#include <thread>

#include "absl/time/time.h"
#include "server/threads/clock.h"

namespace simvisor::server {

// Keeps the signals for the two below.  REQUIRES: there are no other threads,
// since threads inherit what is blocked.
//
// SIGHUP is left out if the process was started with it ignored (nohup).
void BlockStopSignals();

// Waits for a signal and returns it.  REQUIRES: BlockStopSignals().
int AwaitStopSignal();

// Takes the signals while the daemon drains: logs them, and ends the process by
// SIGINT as said above.  Ends it with code 1 if the drain lasts longer than its
// limit, so that nothing in the drain can keep the process.
//
// REQUIRES: BlockStopSignals().
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
  std::atomic<bool> over_ = false;  // before the signal that wakes the thread
  std::thread thread_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_STOP_SIGNALS_H_
