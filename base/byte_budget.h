// A limit on bytes that many users share, and the share that one user holds.
//
// A budget only counts: it owns no memory.  A user asks before it allocates,
// and holds no more than it was granted.
//
// Thread safety: ByteBudget is thread-safe and takes no lock; a ByteCharge is
// thread-compatible, and charges of one budget may be used on any threads.

#ifndef SIMVISOR_BASE_BYTE_BUDGET_H_
#define SIMVISOR_BASE_BYTE_BUDGET_H_

#include <atomic>
#include <cassert>
#include <cstdint>
#include <limits>
#include <utility>

namespace simvisor {

class ByteBudget {
 public:
  static constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

  explicit ByteBudget(uint64_t limit = kUnlimited) : limit_(limit) {}

  ByteBudget(const ByteBudget&) = delete;
  ByteBudget& operator=(const ByteBudget&) = delete;

  // Takes `bytes` out of what is left; returns false and takes nothing if less
  // than that is left.
  bool TryTake(uint64_t bytes);
  // Gives bytes back.
  // REQUIRES: they were taken.
  void Give(uint64_t bytes) {
    [[maybe_unused]] const uint64_t used =
        used_.fetch_sub(bytes, std::memory_order_relaxed);
    assert(bytes <= used);
  }

  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  uint64_t limit() const { return limit_; }

 private:
  const uint64_t limit_;
  std::atomic<uint64_t> used_ = 0;
};

// Bytes taken out of a budget for as long as the object lives.
class ByteCharge {
 public:
  // An empty charge; `budget` must outlive it.  A null budget grants
  // everything.
  explicit ByteCharge(ByteBudget* budget = nullptr) : budget_(budget) {}
  ByteCharge(ByteCharge&& other) noexcept
      : budget_(other.budget_), bytes_(std::exchange(other.bytes_, 0)) {}
  ByteCharge& operator=(ByteCharge&& other) noexcept {
    if (this == &other) return *this;
    Resize(0);
    budget_ = other.budget_;
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }
  ~ByteCharge() { Resize(0); }

  // Resizes the charge to `bytes`; returns false and changes nothing if the
  // budget does not have that much left.  Shrinking never fails.
  bool Resize(uint64_t bytes);

  uint64_t bytes() const { return bytes_; }
  const ByteBudget* budget() const { return budget_; }

 private:
  ByteBudget* budget_;
  uint64_t bytes_ = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_BASE_BYTE_BUDGET_H_
