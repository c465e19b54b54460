// State shared by the clients of one load: which call is next, and whether one
// has failed.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_BENCH_RPC_LOAD_STATE_H_
#define SIMVISOR_BENCH_RPC_LOAD_STATE_H_

#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace simvisor::bench {

class LoadState {
 public:
  explicit LoadState(uint64_t calls) : calls_(calls) {}
  LoadState(const LoadState&) = delete;
  LoadState& operator=(const LoadState&) = delete;

  // The number of the next call, from 0 on; nullopt once all are taken, one has
  // failed or the run was interrupted.
  std::optional<uint64_t> Take();

  // Keeps the first error; a no-op if `status` is OK.
  void Note(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);

  absl::Status status() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const uint64_t calls_;
  std::atomic<uint64_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  mutable absl::Mutex mu_;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_LOAD_STATE_H_
