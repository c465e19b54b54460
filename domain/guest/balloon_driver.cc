#include "domain/guest/balloon_driver.h"

#include <algorithm>

namespace simvisor {

void BalloonDriver::SetPages(PageCount current, PageCount low, PageCount high) {
  current_ = current;
  low_ = low;
  high_ = high;
}

BalloonDriver::Round BalloonDriver::NextRound(uint64_t batches) const {
  const PageCount most(batch_ * batches);
  if (current_ < target_) {
    return {Direction::kUp, std::min({target_ - current_, most, low_ + high_})};
  }
  if (current_ > target_) {
    return {Direction::kDown, std::min(current_ - target_, most)};
  }
  return {};
}

BalloonState BalloonDriver::EndRound(const Round& round, PageCount moved) {
  switch (round.direction) {
    case Direction::kUp: {
      if (round.pages == PageCount(0)) {
        target_ = current_;
        return policy_.Finish(BalloonState::kCancelled);
      }
      if (moved == PageCount(0)) return policy_.Finish(BalloonState::kAgain);
      const PageCount from_low = std::min(low_, moved);  // low before high
      low_ -= from_low;
      high_ -= moved - from_low;
      current_ += moved;
      return policy_.Finish(BalloonState::kDone);
    }
    case Direction::kDown:
      low_ += moved;
      current_ -= moved;
      return policy_.Finish(moved < round.pages ? BalloonState::kAgain
                                                : BalloonState::kDone);
    case Direction::kNone:
      break;
  }
  return policy_.state();
}

}  // namespace simvisor
