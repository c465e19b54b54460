// The balloon driver of a guest, apart from the pages it moves.
//
// Knows how big the guest is, how big it should be, and how many pages lie in
// the balloon; says what to move in the next round, and draws the conclusions
// from what was moved.  The pages themselves are the caller's business.
//
// `current` and `target` are the driver's own figures and not what the
// hypervisor and the toolstack call so: at boot Linux takes every page of room
// to balloon off both.  Like Linux's they are unsigned, wrap around below 0,
// and mean something by their difference, the credit.
// Source: balloon_thread(), balloon_init() and balloon_add_regions() in
// drivers/xen/balloon.c (B2).
//
// Thread safety: a plain value; callers serialise.

#ifndef SIMVISOR_DOMAIN_GUEST_BALLOON_DRIVER_H_
#define SIMVISOR_DOMAIN_GUEST_BALLOON_DRIVER_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "domain/guest/balloon_policy.h"
#include "domain/units/abi.h"
#include "domain/units/state_codec.h"
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

  // The start at boot: a guest of `pages` pages, with `room` to balloon, whose
  // pages are taken off current and target.  A region that would leave nothing
  // of them is not taken off, nor are those behind it; Linux warns then and
  // starts no driver, while this one does its work.
  void Start(PageCount pages, absl::Span<const PfnExtent> room);

  // Tells how many pages lie in the balloon, by zone (64-bit guests have no
  // high memory).
  void SetBalloon(PageCount low, PageCount high);
  void SetTarget(PageCount target) { target_ = target; }

  // Accounts for `pages` pages that went back without a round.  A target that
  // they counted towards goes down with them, so that the driver does not ask
  // for them again; one that was lower stays.
  void Release(PageCount pages);

  // The guest that a restored driver finds.
  struct Restored {
    PageCount pages;       // that it has
    PageCount target;      // the domain's
    PageCount most_pages;  // that a domain can have
    absl::Span<const PfnExtent> room;
  };
  // What a saved guest notes of its driver, but for the balloon's pages.  A
  // restored one counts its pages anew; its target is what it was.  Decode()
  // fails `in` unless a driver of such a guest can have come to that.
  void Encode(StateWriter& out) const;
  void Decode(StateReader& in, const Restored& restored);

  // The next round: at most `batches` hypercalls' worth of pages.  A batch that
  // is granted in full leaves no trace, so callers may do many at once.
  Round NextRound(uint64_t batches = 1) const;

  // Accounts for `moved` pages of `round`: fewer than asked for is fine on the
  // way up, as long as there is one, and kAgain on the way down.  An empty
  // balloon gives up the target.  A round without a direction has the outcome
  // of the one before.  Pages on the way down are counted as low until
  // SetBalloon() tells.  Returns the new state.
  BalloonState EndRound(const Round& round, PageCount moved);

  // Seconds until the driver wakes by itself to work on; nullopt if it has
  // nothing to do until its target changes.  After kDone there is work only if
  // rounds were cut short from outside.
  std::optional<uint32_t> SecondsToWake() const;

  // Pages still to get; negative: to give.
  int64_t credit() const {
    return static_cast<int64_t>(target_.value() - current_.value());
  }
  PageCount current() const { return current_; }
  PageCount target() const { return target_; }
  PageCount low() const { return low_; }
  PageCount high() const { return high_; }
  PageCount batch() const { return PageCount(batch_); }
  // Pages that Start() took off current and target.
  PageCount taken_off() const { return taken_off_; }
  const BalloonPolicy& policy() const { return policy_; }

 private:
  // That Start() with `room` can have taken off as much.
  void CheckTakenOff(StateReader& in, absl::Span<const PfnExtent> room) const;

  uint64_t batch_;
  BalloonPolicy policy_;
  PageCount current_;
  PageCount target_;
  PageCount low_;
  PageCount high_;
  PageCount taken_off_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_BALLOON_DRIVER_H_
