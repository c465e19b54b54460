#include "server/machine/memory_reserve.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/error.h"

namespace simvisor::server {
namespace {

// Pieces of the heap rather than a mapping: memory freed by calls can serve as
// pieces, even if it is scattered, and freed pieces can serve the next
// allocations.
struct Reserve {
  std::atomic<bool> is_there =
      true;  // written under the mutex, except by Release()
  absl::Mutex restoring;
  std::array<std::atomic<void*>, MemoryReserve::kPieces> pieces{};
};

// Never destroyed: gRPC's threads outlive main().
Reserve& TheReserve() {
  static auto* const kReserve = new Reserve;
  return *kReserve;
}

bool FreePieces(Reserve& reserve) {
  bool freed = false;
  for (std::atomic<void*>& piece : reserve.pieces) {
    void* const memory = piece.exchange(nullptr);
    freed = freed || memory != nullptr;
    std::free(memory);
  }
  return freed;
}

// operator new calls this until its malloc() succeeds or this throws.
void OnExhaustion() {
  if (!MemoryReserve::Release()) throw std::bad_alloc();
}

}  // namespace

void MemoryReserve::Install() {
  DaemonMemoryExhausted().IgnoreError();
  TheReserve().is_there.store(false);
  Restore();
  std::set_new_handler(OnExhaustion);
}

bool MemoryReserve::Release() {
  Reserve& reserve = TheReserve();
  reserve.is_there.store(false);
  return FreePieces(reserve);
}

bool MemoryReserve::Restore() {
  Reserve& reserve = TheReserve();
  if (reserve.is_there.load(std::memory_order_relaxed)) return true;
  absl::MutexLock lock(&reserve.restoring);
  if (reserve.is_there.load()) return true;
  for (std::atomic<void*>& piece : reserve.pieces) {
    void* const memory = std::malloc(kPieceBytes);
    if (memory == nullptr) {
      FreePieces(reserve);
      return false;
    }
    std::free(piece.exchange(memory));
  }
  reserve.is_there.store(true);
  return true;
}

bool RunsWithoutReserve(absl::string_view method) {
  constexpr std::array<absl::string_view, 8> kMethods = {"DestroyAddressSpaces",
                                                         "DestroyDomain",
                                                         "GetDomain",
                                                         "GetHost",
                                                         "ListDomains",
                                                         "ListMigrations",
                                                         "ResolveMigration",
                                                         "StopGuestLoad"};
  return std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
}

absl::Status DaemonMemoryExhausted() {
  // A copy shares what it holds.
  static const absl::Status* const kStatus = new absl::Status(MakeError(
      absl::StatusCode::kResourceExhausted, Reason::kDaemonMemoryExhausted,
      "the system has no more memory for the daemon; destroy domains, or give "
      "the daemon more"));
  return *kStatus;
}

}  // namespace simvisor::server
