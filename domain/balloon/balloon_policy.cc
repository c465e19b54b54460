#include "domain/balloon/balloon_policy.h"

#include <algorithm>

#include "absl/strings/str_format.h"

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
      in.Get("driver.state", static_cast<uint64_t>(BalloonState::kCancelled)));
  delay_ = static_cast<uint32_t>(in.Get("driver.delay", 1, kMaxDelay));
  const uint64_t most =
      max_retry_ == 0 ? ~uint32_t{0} : std::max<uint32_t>(max_retry_, 1);
  retry_ = static_cast<uint32_t>(in.Get("driver.retry", 1, most));
  if (!in.ok()) return;
  // Each retry doubles the delay.
  const uint32_t doubled =
      retry_ > 5 ? kMaxDelay : std::min(uint32_t{1} << (retry_ - 1), kMaxDelay);
  const bool tries_again = state_ == BalloonState::kAgain;
  const bool gave_up = state_ == BalloonState::kCancelled;
  if (!gave_up && tries_again != (retry_ > 1)) {
    in.Fail(
        absl::StrFormat("%d, in state %d; a driver that tries again counts "
                        "from 2 on, and one that has done its work has 1",
                        retry_, static_cast<int>(state_)));
  }
  if (delay_ != doubled) {
    in.Fail(absl::StrFormat("%d, beside a delay of %d s; it makes one of %d s",
                            retry_, delay_, doubled));
  }
}

}  // namespace simvisor
