// Memory set aside for when the system has no more.
//
// When malloc() fails under operator new, the reserve is freed and the
// allocation retried, so that calls in progress can finish: their number is
// bounded, and the reserve is more than they are likely to need.  From then on,
// calls that may need more memory are refused, until enough has been freed for
// a new reserve.  If an allocation still fails, it throws std::bad_alloc, which
// ends the call that made it.
//
// docs/limits.md, "When memory runs out", says what this cannot promise.
//
// Thread safety: thread-safe, except Install().

#ifndef SIMVISOR_SERVER_MACHINE_MEMORY_RESERVE_H_
#define SIMVISOR_SERVER_MACHINE_MEMORY_RESERVE_H_

#include <cstddef>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace simvisor::server {

class MemoryReserve {
 public:
  static constexpr size_t kPieceBytes = size_t{1} << 20;
  static constexpr int kPieces = 32;

  // Sets the reserve aside for the lifetime of the process.
  // REQUIRES: there are no other threads yet.
  static void Install();

  // Returns whether the reserve is there, after trying to allocate it again if
  // it was used.  True before Install().
  static bool Restore();

  // Frees the reserve, as operator new does; false if it was not there.
  static bool Release();
};

// Whether `method` frees memory, or needs next to none: it runs even without a
// reserve.
bool RunsWithoutReserve(absl::string_view method);

// RESOURCE_EXHAUSTED DAEMON_MEMORY_EXHAUSTED; allocates nothing that lasts.
absl::Status DaemonMemoryExhausted();

// Returns what `work` returns, an absl::Status or a StatusOr;
// DaemonMemoryExhausted() if an allocation in it fails.  `work` must hold its
// locks in objects, whose destructors release them.
template <typename Work>
auto UnlessExhausted(Work&& work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return DaemonMemoryExhausted();
  }
}

// The same for the work of a call of `method`, or a step of it that may be
// refused: DaemonMemoryExhausted() also if there is no reserve.
template <typename Work>
auto WithinMemory(absl::string_view method, Work&& work) -> decltype(work()) {
  if (!MemoryReserve::Restore() && !RunsWithoutReserve(method)) {
    return DaemonMemoryExhausted();
  }
  return UnlessExhausted(std::forward<Work>(work));
}

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_MEMORY_RESERVE_H_
