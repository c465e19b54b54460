// Bounds how long calls wait for the other end.
//
// A call has a StallWatch, through which it starts each read and each write,
// and which it asks when that is done.  Only the time of waiting counts: what
// the daemon does in between does not.  Once a call has waited for the window
// and fewer than kStallProgressBytes have moved meanwhile, the watch takes the
// call over: the read or write that is under way no longer counts, and the
// handler ends the call in its place.  So a client that trickles bytes is no
// better than a silent one.
//
// One thread looks at all watches some times in a window, so that a wait costs
// two uncontended locks, and a stall is seen up to an eighth of the window
// late.
//
// Thread safety: StallTimer is thread-safe.  The methods of a StallWatch are
// for the thread whose turn it is at the call, but Interrupt() is for any.

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

// Less than this in a window is no progress.
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
  // Ends the thread.  REQUIRES: every watch is gone.
  ~StallTimer();

  Clock::Time::duration window() const { return window_; }

 private:
  friend class StallWatch;
  class State;

  void Add(std::shared_ptr<State> state) ABSL_LOCKS_EXCLUDED(mu_);
  void Remove(const std::shared_ptr<State>& state) ABSL_LOCKS_EXCLUDED(mu_);
  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until it is time to look; what there is to look at then.
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

// The waits of one call, which has one at a time.
class StallWatch {
 public:
  // What to do in place of the wait that was taken over.  Runs on the timer's
  // thread, or on that of Interrupt(), and must not wait; what is left of the
  // read or write that is under way is done with when the call is finished, or,
  // for a write, cancelled.
  using TakenOver = std::function<void(const absl::Status& why, StallWait)>;

  // `operation` begins the message of a stall.  `timer` outlives this object.
  StallWatch(StallTimer* timer, std::string operation, TakenOver taken_over);
  StallWatch(const StallWatch&) = delete;
  StallWatch& operator=(const StallWatch&) = delete;
  ~StallWatch();

  // Has `start` start a read or a write.  The object may be gone when this
  // returns true.  False without a start if the call was interrupted before: it
  // is to end with why().
  [[nodiscard]] bool Wait(StallWait kind, absl::FunctionRef<void()> start);
  // The read or write is done.  False if it was taken over: whoever asks leaves
  // the call to the handler.
  [[nodiscard]] bool Done();
  // So many bytes of what the call is about have moved; by default, a step of
  // the call that counts as progress whatever its size.  Between two waits.
  void Moved(size_t bytes = kStallProgressBytes);

  // Ends the call with `why`, which is not OK: at once if it waits for a read,
  // else when it would wait next, or when its write has stalled.  The first one
  // counts, a stall included.
  void Interrupt(const absl::Status& why);
  absl::Status why() const;

 private:
  StallTimer* const timer_;
  // Shared with the timer's thread, and with Wait(), which the call may not
  // outlast.
  const std::shared_ptr<StallTimer::State> state_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_STALL_TIMER_H_
