// Memory set aside for the moment in which the system gives no more.
//
// When malloc() fails under operator new, the reserve is freed and the
// allocation tried again, so that what has begun can be finished: calls are
// bounded, and the reserve is more than those at work are likely to ask for.
// From then on, calls that may need more memory are refused, until enough has
// been freed for a new reserve.  Should an allocation fail all the same, it
// throws std::bad_alloc, which ends the call that it happened in.
//
// What this cannot promise stands in docs/limits.md, "When memory runs out".
//
// Thread safety: thread-safe, but for Install().

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

  // Sets the reserve aside, for the whole process and for good.  Before there
  // is another thread.
  static void Install();

  // Whether the reserve is there; takes it anew if it was used and can be had.
  // True before Install().
  static bool Restore();

  // Frees the reserve, as operator new does; false if it is not there.
  static bool Release();
};

// Whether `method` gives memory back, or needs next to none: it runs however
// little there is.
bool RunsWithoutReserve(absl::string_view method);

// RESOURCE_EXHAUSTED DAEMON_MEMORY_EXHAUSTED; allocates nothing that lasts.
absl::Status DaemonMemoryExhausted();

// What `work` returns, an absl::Status or a StatusOr; DaemonMemoryExhausted()
// if an allocation fails in it.  Locks that it takes are released by their
// destructors.
template <typename Work>
auto UnlessExhausted(Work&& work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return DaemonMemoryExhausted();
  }
}

// The same for the work of a call of `method`, or a step of it that may be
// refused: DaemonMemoryExhausted() also if there is no reserve to do it with.
template <typename Work>
auto WithinMemory(absl::string_view method, Work&& work) -> decltype(work()) {
  if (!MemoryReserve::Restore() && !RunsWithoutReserve(method)) {
    return DaemonMemoryExhausted();
  }
  return UnlessExhausted(std::forward<Work>(work));
}

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_MEMORY_RESERVE_H_
