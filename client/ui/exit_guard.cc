#include "client/ui/exit_guard.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>

namespace simvisor::client {
namespace {

constexpr std::array kSignals = {SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM};

enum class Plan { kEnd, kRemove, kHoldOff };

// Read by signal handlers, so it must be lock-free.
std::atomic<Plan> plan = Plan::kEnd;
std::atomic<int> held_off = 0;  // the signal, 0 if none
std::atomic<int> folder_of_file = -1;
std::array<char, 256> name_of_file;  // changes in Plan::kEnd only
static_assert(std::atomic<Plan>::is_always_lock_free);
static_assert(std::atomic<int>::is_always_lock_free);

std::array<struct sigaction, kSignals.size()> actions_before;

// Ends the program by the signal itself, so that a shell sees which one it was.
void EndBy(int signal) {
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void OnSignal(int signal) {
  if (plan == Plan::kHoldOff) {
    held_off = signal;
    return;
  }
  if (plan == Plan::kRemove) {
    unlinkat(folder_of_file, name_of_file.data(), 0);
  }
  EndBy(signal);
}

}  // namespace

ExitGuard::ExitGuard() {
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

ExitGuard::~ExitGuard() {
  plan = Plan::kEnd;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], &actions_before[i], nullptr);
  }
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

}  // namespace simvisor::client
