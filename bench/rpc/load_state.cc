#include "bench/rpc/load_state.h"

#include "bench/rpc/stop_signals.h"

namespace simvisor::bench {

std::optional<uint64_t> LoadState::Take() {
  if (failed_.load(std::memory_order_relaxed)) return std::nullopt;
  const absl::Status stop = StopCheck();
  if (!stop.ok()) {
    Note(stop);
    return std::nullopt;
  }
  const uint64_t taken = next_.fetch_add(1, std::memory_order_relaxed);
  if (taken >= calls_) return std::nullopt;
  return taken;
}

void LoadState::Note(const absl::Status& status) {
  if (status.ok()) return;
  const absl::MutexLock lock(&mu_);
  status_.Update(status);
  failed_.store(true, std::memory_order_relaxed);
}

absl::Status LoadState::status() const {
  const absl::MutexLock lock(&mu_);
  return status_;
}

}  // namespace simvisor::bench
