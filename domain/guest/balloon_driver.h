// The balloon driver of a guest, apart from the pages it moves.
//
// Knows how big the guest is, how big it should be, and how many pages lie in
// the balloon; says what to move in the next round, and draws the conclusions
// from what was moved.  The pages themselves are the caller's business.
//
// `current` and `target` start from what the guest has at boot; room to balloon
// is not taken off them.  (Linux 6.15 to 7.2 took it off, a defect that was
// mended.)  Their difference, the credit, is what the driver works on.
// Source: balloon_thread(), balloon_init() and balloon_add_regions() in
// drivers/xen/balloon.c (B2).
//
// Thread safety: a plain value; callers serialise.

#ifndef SIMVISOR_DOMAIN_GUEST_BALLOON_DRIVER_H_
#define SIMVISOR_DOMAIN_GUEST_BALLOON_DRIVER_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "domain/collections/state_codec.h"
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

  // What a guest can spare while a round runs: its free pages, and how many of
  // them it wants to keep in any case (totalreserve_pages).
  struct Spare {
    PageCount available{~uint64_t{0}};
    PageCount reserve{1};
  };

  // The start at boot of a guest of `pages` pages.
  void Start(PageCount pages);

  // Tells how many pages lie in the balloon, by zone (64-bit guests have no
  // high memory), and how many of its pfns are lent out for mappings
  // (target_unpopulated).
  void SetBalloon(PageCount low, PageCount high, PageCount lent = PageCount(0));
  // Returns whether that wakes the driver.  Before its first round and after
  // kDone any credit does; after
  // kAgain and kCancelled only a credit that differs from before: the target
  // that is there already does not wake it.
  // Source: balloon_thread_cond().
  bool SetTarget(PageCount target);

  // Accounts for `pages` pages that went back without a round.  A target that
  // they counted towards goes down with them, so that the driver does not ask
  // for them again; one that was lower stays.
  void Release(PageCount pages);

  // The guest that a restored driver finds.
  struct Restored {
    PageCount pages;       // that it has
    PageCount target;      // the domain's
    PageCount most_pages;  // that a domain can have
  };
  // What a saved guest notes of its driver, but for the balloon's pages.  A
  // restored one counts its pages anew; its target is what it was.  Decode()
  // fails `in` unless a driver of such a guest can have come to that.
  void Encode(StateWriter& out) const;
  void Decode(StateReader& in, const Restored& restored);
  // Decodes what a driver noted that had taken the first few regions of `room`
  // off its figures, the target modulo 2^64.
  void DecodeLessRoom(StateReader& in, const Restored& restored,
                      absl::Span<const PfnExtent> room);

  // The next round: at most `batches` hypercalls' worth of pages.  A batch that
  // is granted in full leaves no trace, so callers may do many at once.
  Round NextRound(uint64_t batches = 1) const;

  // Accounts for `moved` pages of `round`, and returns the new state.
  //
  // Up, fewer than asked for is fine as long as there is one.  An empty balloon
  // gives up the target: it becomes what the guest has and what of its balloon
  // is lent out.  Down, batches that are whole are rounds of their own, which
  // end kDone; the one in which the guest's allocator fails is kAgain, and so
  // is one that was cut to the pages available if these are fewer than the
  // reserve.  A round without a direction has the outcome of the one before.
  // Pages on the way down are counted as low until SetBalloon() tells.
  // REQUIRES: rounds of several batches have a reserve of at most 1.
  BalloonState EndRound(const Round& round, PageCount moved,
                        const Spare& spare);
  // Accounts for `moved` pages of a round that was stopped from outside, which
  // leaves no trace beside them.
  void StopRound(const Round& round, PageCount moved);
  // EndRound() if the guest has pages enough.
  BalloonState EndRound(const Round& round, PageCount moved) {
    return EndRound(round, moved, Spare());
  }

  // Seconds until the driver wakes by itself to work on; nullopt if it has
  // nothing to do until its target changes.  After kDone there is work only if
  // rounds were cut short from outside; after kCancelled if it gave up for want
  // of pages, or the balloon's pfns that were lent out are to come back.
  std::optional<uint32_t> SecondsToWake() const;

  // Pages still to get; negative: to give.
  int64_t credit() const {
    return static_cast<int64_t>(target_.value()) -
           static_cast<int64_t>(current_.value());
  }
  PageCount current() const { return current_; }
  PageCount target() const { return target_; }
  PageCount low() const { return low_; }
  PageCount high() const { return high_; }
  PageCount lent() const { return lent_; }
  PageCount batch() const { return PageCount(batch_); }
  // Whether the target is what an empty balloon made of the one that was set.
  bool gave_up_target() const { return gave_up_target_; }
  const BalloonPolicy& policy() const { return policy_; }

 private:
  BalloonState EndDown(const Round& round, PageCount moved, const Spare& spare);
  // Fails `in`, which has read the target at `place`, unless the target is the
  // domain's or has been given up.
  void CheckTarget(StateReader& in, const StateReader::Place& place,
                   const Restored& restored) const;

  uint64_t batch_;
  BalloonPolicy policy_;
  PageCount current_;
  PageCount target_;
  PageCount low_;
  PageCount high_;
  PageCount lent_;
  bool gave_up_target_ = false;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_BALLOON_DRIVER_H_
