#include "domain/guest/balloon_policy.h"

#include <algorithm>

namespace simvisor {

BalloonState BalloonPolicy::Finish(BalloonState outcome) {
  state_ = outcome;
  if (outcome == BalloonState::kNone || outcome == BalloonState::kCancelled) {
    return state_;
  }
  if (outcome == BalloonState::kAgain) {
    ++retry_;
    if (max_retry_ == 0 || retry_ <= max_retry_) {
      delay_ = std::min(delay_ * 2, kMaxDelay);
      return state_;
    }
    state_ = BalloonState::kCancelled;
  }
  delay_ = 1;
  retry_ = 1;
  return state_;
}

}  // namespace simvisor
