#include "server/calls/stall_timer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/error.h"

namespace simvisor::server {
namespace {

constexpr int kLooksPerWindow = 8;

}  // namespace

absl::Status StallStatus(absl::string_view operation,
                         Clock::Time::duration window) {
  return MakeError(
      absl::StatusCode::kAborted, Reason::kCallStalled,
      absl::StrCat(operation, ": less than ", kStallProgressBytes,
                   " bytes have moved in ",
                   absl::FormatDuration(absl::FromChrono(window)),
                   " of waiting for the other end, so the call has ended and "
                   "what it held is free; call again and keep the stream "
                   "moving"));
}

class StallTimer::State {
 public:
  State(StallTimer* timer, std::string operation,
        StallWatch::TakenOver taken_over)
      : clock_(timer->clock_),
        window_(timer->window_),
        operation_(std::move(operation)),
        taken_over_(std::move(taken_over)) {}

  // False if the call was interrupted.
  bool Begin(StallWait kind, uint64_t& turn) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (!why_.ok()) return false;
    phase_ = Phase::kStarting;
    kind_ = kind;
    begun_ = clock_->Now();
    turn = ++turn_;
    return true;
  }

  // The read or write of `turn` has been started, and may be done by now.
  void Started(uint64_t turn) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::Status why;
    {
      absl::MutexLock lock(&mu_);
      if (turn != turn_ || phase_ != Phase::kStarting) return;
      phase_ = Phase::kWaiting;
      if (why_.ok() || kind_ == StallWait::kWrite) return;
      phase_ = Phase::kTaken;
      why = why_;
    }
    taken_over_(why, StallWait::kRead);
  }

  bool Done() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (phase_ == Phase::kTaken) return false;
    phase_ = Phase::kIdle;
    waited_ += clock_->Now() - begun_;
    return true;
  }

  void Moved(size_t bytes) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (bytes < kStallProgressBytes - moved_) {
      moved_ += bytes;
    } else {
      waited_ = {};
      moved_ = 0;
    }
  }

  void Interrupt(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mu_) {
    {
      absl::MutexLock lock(&mu_);
      if (!why_.ok()) return;
      why_ = why;
      // If the write were cut off, the client would not get the reason.
      if (phase_ != Phase::kWaiting || kind_ == StallWait::kWrite) return;
      phase_ = Phase::kTaken;
    }
    taken_over_(why, StallWait::kRead);
  }

  void InterruptIfStalled() ABSL_LOCKS_EXCLUDED(mu_) {
    {
      absl::MutexLock lock(&mu_);
      if (phase_ != Phase::kWaiting) return;
      if (waited_ + (clock_->Now() - begun_) < window_) return;
      if (why_.ok()) why_ = StallStatus(operation_, window_);
      phase_ = Phase::kTaken;
    }
    taken_over_(why(), kind_);
  }

  absl::Status why() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return why_;
  }

 private:
  enum class Phase {
    kIdle,      // the daemon works
    kStarting,  // a read or write is being started, or was a moment ago
    kWaiting,   // for the other end
    kTaken,     // by the handler, for good
  };

  Clock* const clock_;
  const Clock::Time::duration window_;
  const std::string operation_;
  // Called at most once, by the thread that set the phase to kTaken: the call
  // waits then, so it still exists.
  const StallWatch::TakenOver taken_over_;

  mutable absl::Mutex mu_;
  Phase phase_ ABSL_GUARDED_BY(mu_) = Phase::kIdle;
  uint64_t turn_ ABSL_GUARDED_BY(mu_) = 0;
  // Written under the mutex, while no other thread reads it.
  StallWait kind_ = StallWait::kRead;
  Clock::Time begun_ ABSL_GUARDED_BY(mu_);
  // Since the last progress.
  Clock::Time::duration waited_ ABSL_GUARDED_BY(mu_){};
  size_t moved_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status why_ ABSL_GUARDED_BY(mu_);
};

StallTimer::StallTimer(Clock* clock, Clock::Time::duration window)
    : clock_(clock), window_(window), thread_([this] { Work(); }) {}

StallTimer::~StallTimer() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
}

void StallTimer::Add(std::shared_ptr<State> state) {
  absl::MutexLock lock(&mu_);
  watched_.insert(std::move(state));
}

void StallTimer::Remove(const std::shared_ptr<State>& state) {
  absl::MutexLock lock(&mu_);
  watched_.erase(state);
}

void StallTimer::Work() {
  while (true) {
    const auto states = AwaitLook();
    if (states.empty()) return;
    for (const auto& state : states) state->InterruptIfStalled();
  }
}

std::vector<std::shared_ptr<StallTimer::State>> StallTimer::AwaitLook() {
  absl::MutexLock lock(&mu_);
  while (!stopping_) {
    clock_->Await(&mu_, absl::Condition(this, &StallTimer::HasWork),
                  Clock::Time::max());
    clock_->Await(&mu_, absl::Condition(this, &StallTimer::IsStopping),
                  clock_->Now() + window_ / kLooksPerWindow);
    if (!stopping_ && !watched_.empty()) {
      return {watched_.begin(), watched_.end()};
    }
  }
  return {};
}

StallWatch::StallWatch(StallTimer* timer, std::string operation,
                       TakenOver taken_over)
    : timer_(timer),
      state_(std::make_shared<StallTimer::State>(timer, std::move(operation),
                                                 std::move(taken_over))) {
  timer_->Add(state_);
}

StallWatch::~StallWatch() { timer_->Remove(state_); }

bool StallWatch::Wait(StallWait kind, absl::FunctionRef<void()> start) {
  // The call may end, and delete this object, as soon as the read or write is
  // started.
  const std::shared_ptr<StallTimer::State> state = state_;
  uint64_t turn = 0;
  if (!state->Begin(kind, turn)) return false;
  start();
  state->Started(turn);
  return true;
}

bool StallWatch::Done() { return state_->Done(); }

void StallWatch::Moved(size_t bytes) { state_->Moved(bytes); }

void StallWatch::Interrupt(const absl::Status& why) { state_->Interrupt(why); }

absl::Status StallWatch::why() const { return state_->why(); }

}  // namespace simvisor::server
