// Bounds the number of open calls, over all connections.
//
// Each call costs a few KiB besides its messages.  Streams may take half of the
// places: a stream lasts as long as its client likes, so the other half is left
// to calls that end by themselves.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_SERVER_CALLS_OPEN_CALLS_H_
#define SIMVISOR_SERVER_CALLS_OPEN_CALLS_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace simvisor::server {

enum class CallKind { kUnary, kStream };

class OpenCalls {
 public:
  static constexpr uint32_t kDefaultLimit = 4096;

  // A place, returned when this object is destroyed.
  struct GiveBack {
    void operator()(std::atomic<uint32_t>* count) const {
      count->fetch_sub(1, std::memory_order_relaxed);
    }
  };
  using Place = std::unique_ptr<std::atomic<uint32_t>, GiveBack>;

  // `limit` is at least 2.
  explicit OpenCalls(uint32_t limit = kDefaultLimit) : limit_(limit) {}
  OpenCalls(const OpenCalls&) = delete;
  OpenCalls& operator=(const OpenCalls&) = delete;

  // Takes a place for a call of `method`; RESOURCE_EXHAUSTED CALLS_EXHAUSTED if
  // all are taken.  This object outlives the place.
  absl::StatusOr<Place> Enter(absl::string_view method, CallKind kind);

  // Takes a place even if all are taken, in exchange for that of a call that is
  // about to end.
  Place EnterInStead(CallKind kind);

  uint32_t count() const { return unary_.load() + streams_.load(); }

 private:
  const uint32_t limit_;
  std::atomic<uint32_t> unary_ = 0;
  std::atomic<uint32_t> streams_ = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_OPEN_CALLS_H_
