// The balloon driver's policy: how much to move next and when to try again.
//
// Pure arithmetic, which knows no pages: the driver moves what it can in a
// round and reports with Finish().  Source: drivers/xen/balloon.c of Linux
// (balloon_thread(), update_schedule()).
//
// Thread safety: a plain value; callers serialise.

#ifndef SIMVISOR_DOMAIN_BALLOON_BALLOON_POLICY_H_
#define SIMVISOR_DOMAIN_BALLOON_BALLOON_POLICY_H_

#include <cstdint>

#include "domain/collections/state_codec.h"
#include "domain/units/units.h"

namespace simvisor {

// Outcome of one round; kNone before the first.
enum class BalloonState { kNone, kDone, kAgain, kCancelled };

class BalloonPolicy {
 public:
  // `max_retry` rounds that end kAgain in a row are allowed; 0: any number.
  explicit BalloonPolicy(uint32_t max_retry = kDefaultMaxRetry)
      : max_retry_(max_retry) {}

  // Returns the state after a round that ended `outcome`: kDone resets delay
  // and retry to 1; kAgain counts a retry and doubles the delay up to
  // kMaxDelay, or, past the allowed number, resets both and becomes kCancelled.
  // kCancelled itself leaves both as they are, and kNone stands for no round.
  BalloonState Finish(BalloonState outcome);

  // Encode() writes what a saved guest notes about its policy, and Decode()
  // reads it.  Decode() fails `in` unless rounds can have come to that.
  void Encode(StateWriter& out) const;
  void Decode(StateReader& in);

  BalloonState state() const { return state_; }
  // Seconds until the next round after kAgain, 1 to kMaxDelay.
  uint32_t delay_seconds() const { return delay_; }
  uint32_t retry_count() const { return retry_; }
  uint32_t max_retry() const { return max_retry_; }

  // RETRY_UNLIMITED until CVE-2019-17351, then 4.
  static constexpr uint32_t kDefaultMaxRetry = 4;
  static constexpr uint32_t kMaxDelay = 32;
  // Seconds that the driver's thread sleeps after a round that was not kAgain.
  static constexpr uint32_t kLongSleep = 3600;

 private:
  uint32_t max_retry_;
  uint32_t delay_ = 1;
  uint32_t retry_ = 1;
  BalloonState state_ = BalloonState::kNone;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BALLOON_BALLOON_POLICY_H_
