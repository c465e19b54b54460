// The balloon driver of a guest, apart from the pages it moves.
//
// Knows how big the guest is, how big it should be, and how many pages lie in
// the balloon; says what to move in the next round, and draws the conclusions
// from what was moved.  The pages themselves are the caller's business.
// Source: balloon_thread() in drivers/xen/balloon.c (B2).
//
// Thread safety: a plain value; callers serialise.

#ifndef SIMVISOR_DOMAIN_GUEST_BALLOON_DRIVER_H_
#define SIMVISOR_DOMAIN_GUEST_BALLOON_DRIVER_H_

#include "domain/guest/balloon_policy.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor {

class BalloonDriver {
 public:
  enum class Direction { kNone, kUp, kDown };
  // What to move; up with no pages means that the balloon is empty.
  struct Round {
    Direction direction = Direction::kNone;
    PageCount pages;
  };

  explicit BalloonDriver(const Abi& abi,
                         uint32_t max_retry = BalloonPolicy::kDefaultMaxRetry)
      : batch_(abi.balloon_batch()), policy_(max_retry) {}

  // Tells the driver how things stand; `low` and `high` are the pages in the
  // balloon by zone (64-bit guests have no high memory).
  void SetPages(PageCount current, PageCount low, PageCount high = PageCount());
  void SetTarget(PageCount target) { target_ = target; }

  // The next round: at most `batches` hypercalls' worth of pages.  A batch that
  // is granted in full leaves no trace, so callers may do many at once.
  Round NextRound(uint64_t batches = 1) const;

  // Accounts for `moved` pages of `round`: fewer than asked for is fine on the
  // way up, as long as there is one, and kAgain on the way down.  An empty
  // balloon gives up the target.  Returns the new state.
  BalloonState EndRound(const Round& round, PageCount moved);

  PageCount current() const { return current_; }
  PageCount target() const { return target_; }
  PageCount low() const { return low_; }
  PageCount high() const { return high_; }
  const BalloonPolicy& policy() const { return policy_; }

 private:
  uint64_t batch_;
  BalloonPolicy policy_;
  PageCount current_;
  PageCount target_;
  PageCount low_;
  PageCount high_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_BALLOON_DRIVER_H_
