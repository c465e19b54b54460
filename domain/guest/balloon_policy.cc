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

void BalloonPolicy::Encode(StateWriter& out) const {
  out.Put(static_cast<uint64_t>(state_));
  out.Put(delay_);
  out.Put(retry_);
}

void BalloonPolicy::Decode(StateReader& in) {
  state_ = static_cast<BalloonState>(
      in.Get(static_cast<uint64_t>(BalloonState::kCancelled)));
  delay_ = static_cast<uint32_t>(in.Get(kMaxDelay));
  retry_ = static_cast<uint32_t>(in.Get(~uint32_t{0}));
  if (delay_ == 0 || retry_ == 0) in.Fail();
}

}  // namespace simvisor
