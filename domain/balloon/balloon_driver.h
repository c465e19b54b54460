// The balloon driver of a guest, apart from the pages it moves.
//
// Knows how big the guest should be, and is told each time how big it is and
// how many pages lie in its balloon; says what to move in the next round, and
// draws the conclusions from what was moved.  The pages themselves are the
// caller's business.
//
// The target starts from what the guest has at boot; room to balloon is not
// taken off it.  (Linux 6.15 to 7.2 took it off, a defect that was mended.) The
// difference of target and pages, the credit, is what the driver works on.
// Source: balloon_thread(), balloon_init() and balloon_add_regions() in
// drivers/xen/balloon.c (p2m.md B2).
//
// Thread safety: a plain value; callers serialise.

#ifndef SIMVISOR_DOMAIN_BALLOON_BALLOON_DRIVER_H_
#define SIMVISOR_DOMAIN_BALLOON_BALLOON_DRIVER_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "domain/balloon/balloon_policy.h"
#include "domain/collections/state_codec.h"
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

  // What the guest comes to, at the moment of a call.
  struct Pages {
    PageCount current;    // that it has
    PageCount ballooned;  // in its balloon
    PageCount lent;       // pfns of the balloon lent out (target_unpopulated)
  };

  // The start at boot of a guest of `pages` pages.
  void Start(PageCount pages);

  // Sets the target of a guest of `current` pages; returns whether that wakes
  // the driver.  Before its first round and after kDone any credit does; after
  // kAgain and kCancelled only a credit that differs from before: the target
  // that is there already does not wake it.
  // Source: balloon_thread_cond().
  bool SetTarget(PageCount target, PageCount current);

  // Accounts for `released` of `before` pages that went back without a round.
  // A target that they counted towards goes down with them, so that the driver
  // does not ask for them again; one that was lower stays.
  // REQUIRES: released <= before.
  void Release(PageCount released, PageCount before);

  // The guest that a restored driver finds.
  struct Restored {
    PageCount target;      // the domain's
    PageCount most_pages;  // that a domain can have
  };
  // What a saved guest notes of its driver.  A restored one has the target that
  // it had.  Decode() fails `in` unless a driver of such a guest can have come
  // to that.
  void Encode(StateWriter& out) const;
  void Decode(StateReader& in, const Restored& restored);
  // Decodes what a driver noted that had taken the first few regions of `room`
  // off its figures, the target modulo 2^64.
  void DecodeLessRoom(StateReader& in, const Restored& restored,
                      absl::Span<const PfnExtent> room);

  // The next round: at most `batches` hypercalls' worth of pages.  A batch that
  // is granted in full leaves no trace, so callers may do many at once.
  Round NextRound(const Pages& now, uint64_t batches = 1) const;

  // Accounts for `moved` pages of `round`, of which `now` knows, and returns
  // the new state.
  //
  // Up, fewer than asked for is fine as long as there is one.  An empty balloon
  // gives up the target: it becomes what the guest has and what of its balloon
  // is lent out.  Down, batches that are whole are rounds of their own, which
  // end kDone; the one in which the guest's allocator fails is kAgain, and so
  // is one that was cut to the pages available if these are fewer than the
  // reserve.  A round without a direction has the outcome of the one before.
  // REQUIRES: rounds of several batches have a reserve of at most 1; down, what
  // the guest had before is at least the target.
  BalloonState EndRound(const Round& round, PageCount moved, const Spare& spare,
                        const Pages& now);
  // Accounts for `moved` pages of a round that was stopped from outside, which
  // leaves no trace beside them.
  void StopRound(const Round& round, PageCount moved, const Pages& now);

  // Seconds until the driver of a guest of `current` pages wakes by itself to
  // work on; nullopt if it has nothing to do until its target changes.  After
  // kDone there is work only if rounds were cut short from outside; after
  // kCancelled if it gave up for want of pages, or the balloon's pfns that were
  // lent out are to come back.
  std::optional<uint32_t> SecondsToWake(PageCount current) const;

  // Pages still to get; negative: to give.
  int64_t credit(PageCount current) const {
    return static_cast<int64_t>(target_.value()) -
           static_cast<int64_t>(current.value());
  }
  PageCount target() const { return target_; }
  PageCount batch() const { return PageCount(batch_); }
  // Whether the target is what an empty balloon made of the one that was set.
  bool gave_up_target() const { return gave_up_target_; }
  const BalloonPolicy& policy() const { return policy_; }

 private:
  BalloonState EndDown(const Round& round, PageCount moved, const Spare& spare,
                       PageCount current);
  // Fails `in`, which has read the target at `place`, unless the target is the
  // domain's or has been given up.
  void CheckTarget(StateReader& in, const StateReader::Place& place,
                   const Restored& restored) const;

  uint64_t batch_;
  BalloonPolicy policy_;
  PageCount target_;
  bool gave_up_target_ = false;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BALLOON_BALLOON_DRIVER_H_
