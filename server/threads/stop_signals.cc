#include "server/threads/stop_signals.h"

#include <pthread.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

namespace simvisor::server {
namespace {

// A SIGINT earlier than this after the first signal may come with it.
constexpr std::chrono::seconds kSettle(1);
constexpr int kOverdueExitCode = 1;

Clock::Time Now() { return SystemClock()->Now(); }

// True if the process was started with SIGHUP ignored.
bool IsHangupIgnored() {
  struct sigaction action = {};
  return sigaction(SIGHUP, nullptr, &action) == 0 &&
         action.sa_handler == SIG_IGN;
}

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  if (!IsHangupIgnored()) sigaddset(&signals, SIGHUP);
  return signals;
}

// Zero if `duration` is negative.
timespec ToTimespec(Clock::Time::duration duration) {
  return absl::ToTimespec(
      std::max(absl::FromChrono(duration), absl::ZeroDuration()));
}

// Ends the process by `signal_number`, as if it had not been blocked.
void EndBy(int signal_number) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, signal_number);
  signal(signal_number, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  raise(signal_number);
}

}  // namespace

void BlockStopSignals() {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

int AwaitStopSignal() {
  const sigset_t signals = StopSignals();
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  return signal_number;
}

DrainWatch::DrainWatch(absl::Duration limit)
    : start_(Now()),
      deadline_(start_ + absl::ToChronoMilliseconds(limit)),
      thread_(&DrainWatch::Run, this) {}

DrainWatch::~DrainWatch() {
  over_ = true;
  // Any of the signals will do: it wakes the thread, which looks at over_
  // first.
  pthread_kill(thread_.native_handle(), SIGINT);
  thread_.join();
}

void DrainWatch::Run() {
  const sigset_t signals = StopSignals();
  while (true) {
    const timespec left = ToTimespec(deadline_ - Now());
    const int signal_number = sigtimedwait(&signals, nullptr, &left);
    if (over_) return;
    if (signal_number > 0) Take(signal_number);
    if (Now() >= deadline_) break;
  }
  spdlog::critical("the drain takes too long: ending without it");
  std::_Exit(kOverdueExitCode);
}

void DrainWatch::Take(int signal_number) const {
  if (signal_number == SIGINT && Now() - start_ >= kSettle) {
    spdlog::warn("{}: ending at once", strsignal(signal_number));
    EndBy(signal_number);
  }
  spdlog::info("{}: draining already", strsignal(signal_number));
}

}  // namespace simvisor::server
