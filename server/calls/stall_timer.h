// Bounds how long calls wait for the other end.
//
// A call starts each read and each write through its StallWatch, and tells it
// when they complete.  Only time spent waiting counts, not what the daemon does
// in between.  Once a call has waited for the window and fewer than
// kStallProgressBytes have moved meanwhile, the watch takes over: the
// completion of the read or write in flight is ignored, and the handler ends
// the call.  So a client that trickles bytes is treated like a silent one.
//
// One thread checks all watches eight times per window.  So a wait costs two
// uncontended locks, and a stall is noticed up to an eighth of the window late.
//
// Thread safety: StallTimer is thread-safe.  The methods of a StallWatch are
// for the thread that currently runs the call; Interrupt() may be called from
// any thread.

#ifndef SIMVISOR_SERVER_CALLS_STALL_TIMER_H_
#define SIMVISOR_SERVER_CALLS_STALL_TIMER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/threads/clock.h"

namespace simvisor::server {

inline constexpr std::chrono::milliseconds kDefaultStallTimeout{60000};

// Fewer bytes than this in a window do not count as progress.
inline constexpr size_t kStallProgressBytes = 4096;

// ABORTED CALL_STALLED: the other end of `operation` moved nothing for so long.
absl::Status StallStatus(absl::string_view operation,
                         Clock::Time::duration window);

enum class StallWait { kRead, kWrite };

class StallTimer {
 public:
  // Starts the thread.  `clock` outlives this object.
  StallTimer(Clock* clock, Clock::Time::duration window);
  StallTimer(const StallTimer&) = delete;
  StallTimer& operator=(const StallTimer&) = delete;
  // Ends the thread.
  // REQUIRES: all watches have been destroyed.
  ~StallTimer();

  Clock::Time::duration window() const { return window_; }

 private:
  friend class StallWatch;
  class State;

  void Add(std::shared_ptr<State> state) ABSL_LOCKS_EXCLUDED(mu_);
  void Remove(const std::shared_ptr<State>& state) ABSL_LOCKS_EXCLUDED(mu_);
  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until it is time to check, and returns what to check; nothing once
  // the timer stops.
  std::vector<std::shared_ptr<State>> AwaitLook() ABSL_LOCKS_EXCLUDED(mu_);
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return stopping_ || !watched_.empty();
  }
  bool IsStopping() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return stopping_; }

  Clock* const clock_;
  const Clock::Time::duration window_;

  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_set<std::shared_ptr<State>> watched_ ABSL_GUARDED_BY(mu_);

  std::thread thread_;  // constant after construction
};

// Watches one call, which has at most one read or write in flight.
class StallWatch {
 public:
  // Ends the call whose wait was taken over.  Runs on the timer's thread, or on
  // the caller's of Interrupt(), and must not block.  The read or write still
  // in flight ends when the call is finished, or, for a write, cancelled.
  using TakenOver = std::function<void(const absl::Status& why, StallWait)>;

  // `operation` begins the message of a stall.  `timer` outlives this object.
  StallWatch(StallTimer* timer, std::string operation, TakenOver taken_over);
  StallWatch(const StallWatch&) = delete;
  StallWatch& operator=(const StallWatch&) = delete;
  ~StallWatch();

  // Calls `start`, which starts a read or a write.  The object may be deleted
  // by the time this returns true.  Returns false without calling `start` if
  // the call was interrupted before; the caller must then end it with why().
  [[nodiscard]] bool Wait(StallWait kind, absl::FunctionRef<void()> start);
  // The read or write has completed.  False if the call was taken over: the
  // caller then leaves it to the handler.
  [[nodiscard]] bool Done();
  // Notes that `bytes` of payload have moved; by default enough to count as
  // progress, for a step of any size.  Call it between two waits.
  void Moved(size_t bytes = kStallProgressBytes);

  // Ends the call with `why`, which is not OK: at once if it waits for a read,
  // otherwise at its next wait, or when its write has stalled.  Only the first
  // interruption counts; a stall is one too.
  void Interrupt(const absl::Status& why);
  absl::Status why() const;

 private:
  StallTimer* const timer_;
  // Shared with the timer's thread, and with Wait(), during which the call may
  // end.
  const std::shared_ptr<StallTimer::State> state_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_STALL_TIMER_H_
