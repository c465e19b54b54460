#include "client/ui/exit_signals.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <ctime>

#include "absl/time/clock.h"
#include "client/api/own_reason.h"

namespace simvisor::client {
namespace {

constexpr std::array kSignals = {SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM};
constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr absl::Duration kLookEvery = absl::Milliseconds(50);

int64_t SystemNs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNsPerSecond + now.tv_nsec;
}

// What the guard has planned for a signal that ends the program.
enum class Plan { kEnd, kRemove, kHoldOff };

// Used by signal handlers, so they must be lock-free.
std::atomic<Plan> plan = Plan::kEnd;
std::atomic<int> held_off = 0;  // the signal, 0 if none
std::atomic<int> folder_of_file = -1;
std::array<char, 256> name_of_file;   // changes in Plan::kEnd only
std::atomic<bool> deferring = false;  // whether there is an Interruption
std::atomic<int> first_signal = 0;    // that came to it, 0 if none
std::atomic<int64_t> came_at_ns = 0;
std::atomic<Interruption::Clock> clock_ns = &SystemNs;
static_assert(std::atomic<Plan>::is_always_lock_free);
static_assert(std::atomic<int>::is_always_lock_free);
static_assert(std::atomic<bool>::is_always_lock_free);
static_assert(std::atomic<int64_t>::is_always_lock_free);
static_assert(std::atomic<Interruption::Clock>::is_always_lock_free);

// Ends the program by `signal`, as the guard has planned.
void EndBy(int signal) {
  if (plan == Plan::kHoldOff) {
    held_off = signal;
    return;
  }
  if (plan == Plan::kRemove) {
    unlinkat(folder_of_file, name_of_file.data(), 0);
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// Whether the command, and not the signal, ends the program.
bool Defer(int signal) {
  if (!deferring || signal == SIGQUIT) return false;
  const int64_t now = clock_ns.load()();
  if (first_signal != 0) {
    return signal != SIGINT || now - came_at_ns < kNsPerSecond;
  }
  // Set first: a thread that sees the signal looks at the time.
  came_at_ns = now;
  int none = 0;
  first_signal.compare_exchange_strong(none, signal);
  return true;
}

void OnSignal(int signal) {
  const int saved_errno = errno;
  if (!Defer(signal)) EndBy(signal);
  errno = saved_errno;
}

int users = 0;  // guards and interruptions that exist
std::array<struct sigaction, kSignals.size()> actions_before;

void AddUser() {
  if (users++ > 0) return;
  struct sigaction action = {};
  action.sa_handler = &OnSignal;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &actions_before[i]);
    if (actions_before[i].sa_handler == SIG_DFL) {
      sigaction(kSignals[i], &action, nullptr);
    }
  }
}

void RemoveUser() {
  if (--users > 0) return;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], &actions_before[i], nullptr);
  }
}

// Waits for one of `events` on `fd`; false soon after a signal.
bool AwaitReady(int fd, short events) {
  pollfd one = {.fd = fd, .events = events, .revents = 0};
  while (first_signal == 0) {
    if (poll(&one, 1, absl::ToInt64Milliseconds(kLookEvery)) > 0) return true;
  }
  return false;
}

}  // namespace

ExitGuard::ExitGuard() { AddUser(); }

ExitGuard::~ExitGuard() {
  plan = Plan::kEnd;
  RemoveUser();
  if (const int signal = held_off.exchange(0); signal != 0) EndBy(signal);
}

void ExitGuard::Remove(int folder, const std::string& name) {
  plan = Plan::kEnd;
  folder_of_file = folder;
  const size_t size = std::min(name.size(), name_of_file.size() - 1);
  *std::copy_n(name.begin(), size, name_of_file.begin()) = '\0';
  plan = Plan::kRemove;
}

void ExitGuard::HoldOff() { plan = Plan::kHoldOff; }

Interruption::Interruption(Clock clock) {
  clock_ns = clock == nullptr ? &SystemNs : clock;
  first_signal = 0;
  deferring = true;
  AddUser();
}

Interruption::~Interruption() {
  deferring = false;
  RemoveUser();
  if (const int signal = first_signal.exchange(0); signal != 0) EndBy(signal);
}

int Interruption::signal() const { return first_signal; }

absl::Duration Interruption::age() const {
  if (first_signal == 0) return absl::ZeroDuration();
  return absl::Nanoseconds(clock_ns.load()() - came_at_ns);
}

void Interruption::Wait(absl::Duration time) const {
  const int64_t end = clock_ns.load()() + absl::ToInt64Nanoseconds(time);
  while (first_signal == 0) {
    const absl::Duration left = absl::Nanoseconds(end - clock_ns.load()());
    if (left <= absl::ZeroDuration()) return;
    absl::SleepFor(std::min(left, kLookEvery));
  }
}

bool Interruption::AwaitReadable(int fd) const {
  return AwaitReady(fd, POLLIN);
}

bool Interruption::AwaitWritable(int fd) const {
  return AwaitReady(fd, POLLOUT);
}

absl::Status InterruptedError() {
  return WithReason(absl::CancelledError("interrupted"), OwnReason::kCancelled);
}

}  // namespace simvisor::client
