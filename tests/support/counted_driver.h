// A balloon driver together with the figures of a guest that each call needs,
// for tests of its arithmetic.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_SUPPORT_COUNTED_DRIVER_H_
#define SIMVISOR_TESTS_SUPPORT_COUNTED_DRIVER_H_

#include <algorithm>
#include <cstdint>
#include <optional>

#include "domain/balloon/balloon_driver.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor {

class CountedDriver {
 public:
  using Round = BalloonDriver::Round;
  using Spare = BalloonDriver::Spare;

  explicit CountedDriver(const Abi& abi,
                         uint32_t max_retry = BalloonPolicy::kDefaultMaxRetry)
      : driver_(abi, max_retry) {}

  void Start(PageCount pages) {
    current_ = pages;
    driver_.Start(pages);
  }
  // Pages in the balloon, by zone, and pfns that it has lent out.
  void SetBalloon(PageCount low, PageCount high,
                  PageCount lent = PageCount(0)) {
    low_ = low;
    high_ = high;
    lent_ = lent;
  }
  bool SetTarget(PageCount target) {
    return driver_.SetTarget(target, current_);
  }
  // The guest gives up pages without a round.
  void Lose(PageCount pages) {
    driver_.TargetDropsBy(pages, current_);
    current_ -= pages;
  }

  Round NextRound(uint64_t batches = 1) const {
    return driver_.NextRound(Now(), batches);
  }
  // Moves `moved` pages, low ones first, and ends the round.
  BalloonState EndRound(const Round& round, PageCount moved,
                        const Spare& spare = Spare()) {
    if (round.direction == BalloonDriver::Direction::kUp) {
      const PageCount from_low = std::min(low_, moved);
      low_ -= from_low;
      high_ -= moved - from_low;
      current_ += moved;
    } else if (round.direction == BalloonDriver::Direction::kDown) {
      low_ += moved;
      current_ -= moved;
    }
    return driver_.EndRound(round, moved, spare, Now());
  }
  std::optional<uint32_t> SecondsToWake() const {
    return driver_.SecondsToWake(current_);
  }

  int64_t credit() const { return driver_.credit(current_); }
  PageCount current() const { return current_; }
  PageCount low() const { return low_; }
  PageCount high() const { return high_; }
  PageCount target() const { return driver_.target(); }
  bool gave_up_target() const { return driver_.gave_up_target(); }
  const BalloonPolicy& policy() const { return driver_.policy(); }

 private:
  BalloonDriver::Pages Now() const { return {current_, low_ + high_, lent_}; }

  BalloonDriver driver_;
  PageCount current_, low_, high_, lent_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_COUNTED_DRIVER_H_
