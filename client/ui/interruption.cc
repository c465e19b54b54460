#include "client/ui/interruption.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <ctime>

#include "absl/time/clock.h"

namespace simvisor::client {
namespace {

constexpr std::array kDeferred = {SIGHUP, SIGINT, SIGPIPE, SIGTERM};
constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr absl::Duration kLookEvery = absl::Milliseconds(50);

// Written by signal handlers, so they must be lock-free.
std::atomic<int> first_signal = 0;
std::atomic<int64_t> came_at_ns = 0;
static_assert(std::atomic<int>::is_always_lock_free);
static_assert(std::atomic<int64_t>::is_always_lock_free);

std::array<struct sigaction, kDeferred.size()> actions_replaced;

// Of a clock that never goes back; may be called by a signal handler.
int64_t NowNs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNsPerSecond + now.tv_nsec;
}

void EndProgram(int signal) {
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void NoteSignal(int signal) {
  const int saved_errno = errno;
  const int64_t now = NowNs();
  int none = 0;
  if (first_signal == 0) {
    // Set first: a thread that sees the signal looks at the time.
    came_at_ns = now;
    first_signal.compare_exchange_strong(none, signal);
  } else if (signal == SIGINT && now - came_at_ns >= kNsPerSecond) {
    EndProgram(signal);
  }
  errno = saved_errno;
}

}  // namespace

Interruption::Interruption() {
  first_signal = 0;
  struct sigaction action = {};
  action.sa_handler = &NoteSignal;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  for (size_t i = 0; i < kDeferred.size(); ++i) {
    sigaction(kDeferred[i], nullptr, &actions_replaced[i]);
    if (actions_replaced[i].sa_handler == SIG_DFL) {
      sigaction(kDeferred[i], &action, nullptr);
    }
  }
}

Interruption::~Interruption() {
  for (size_t i = 0; i < kDeferred.size(); ++i) {
    sigaction(kDeferred[i], &actions_replaced[i], nullptr);
  }
  if (const int signal = first_signal.exchange(0); signal != 0)
    EndProgram(signal);
}

int Interruption::signal() const { return first_signal; }

absl::Duration Interruption::age() const {
  if (first_signal == 0) return absl::ZeroDuration();
  return absl::Nanoseconds(NowNs() - came_at_ns);
}

void Interruption::Wait(absl::Duration time) const {
  const int64_t end = NowNs() + absl::ToInt64Nanoseconds(time);
  while (first_signal == 0) {
    const absl::Duration left = absl::Nanoseconds(end - NowNs());
    if (left <= absl::ZeroDuration()) return;
    absl::SleepFor(std::min(left, kLookEvery));
  }
}

}  // namespace simvisor::client
