// The balloon driver of a guest, apart from the pages it moves.
//
// It knows how big the guest should be.  Callers tell it each time how big the
// guest is and how many pages are in its balloon; it says what to move in the
// next round, and accounts for what was moved.  The caller moves the pages.
//
// The target starts from what the guest has at boot; room to balloon is not
// taken off it.  (Linux 6.15 to 7.2 took it off; that was a bug.)  The driver
// works on the credit, the difference between target and pages.
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
  // What to move.  kUp with 0 pages means that the balloon is empty.
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

  // The guest's pages at the moment of a call.
  struct Pages {
    PageCount current;    // that it has
    PageCount ballooned;  // in its balloon
    PageCount lent;       // pfns of the balloon lent out (target_unpopulated)
  };

  // Starts at boot of a guest with `pages` pages.
  void Start(PageCount pages);

  // Sets the target of a guest of `current` pages; returns whether that wakes
  // the driver.  Before its first round and after kDone, any credit wakes it;
  // after kAgain and kCancelled, only a target that differs from the present
  // one.
  // Source: balloon_thread_cond().
  bool SetTarget(PageCount target, PageCount current);

  // Accounts for `released` of `before` pages that went back without a round.
  // A target of `before` or more goes down by as many, so that the driver does
  // not ask for them again; a target that was lower stays.
  // REQUIRES: released <= before.
  void TargetDropsBy(PageCount released, PageCount before);

  // The guest that a restored driver finds.
  struct Restored {
    PageCount target;      // the domain's
    PageCount most_pages;  // that a domain can have
  };
  // Encode() writes what a saved guest notes about its driver, and Decode()
  // reads it, with the target that the driver had.  Decode() fails `in` unless
  // a driver of such a guest can have come to that.
  void Encode(StateWriter& out) const;
  void Decode(StateReader& in, const Restored& restored);
  // Decodes the notes of a driver that took the first few regions of `room` off
  // its figures, off the target modulo 2^64.
  void DecodeLessRoom(StateReader& in, const Restored& restored,
                      absl::Span<const PfnExtent> room);

  // The next round: at most `batches` hypercalls' worth of pages.  A batch that
  // is granted in full leaves no trace, so callers may move many at once.
  Round NextRound(const Pages& now, uint64_t batches = 1) const;

  // Accounts for `moved` pages of `round`, of which `now` knows, and returns
  // the new state.
  //
  // Up, a round is kDone if it moved at least one page.  An empty balloon gives
  // up the target: it becomes what the guest has plus what is lent out of the
  // balloon.  Down, each whole batch counts as a round that ends kDone; a batch
  // in which the guest's allocator fails ends kAgain, and so does a batch that
  // was cut to the pages available if these are fewer than the reserve.  A
  // round without a direction has the outcome of the round before.
  // REQUIRES: a round of several batches has a reserve of at most 1; down, the
  // guest had at least the target before.
  BalloonState EndRound(const Round& round, PageCount moved, const Spare& spare,
                        const Pages& now);
  // Accounts for `moved` pages of a round that was stopped from outside.
  // Nothing else is left of the round.
  void StopRound(const Round& round, PageCount moved, const Pages& now);

  // Seconds until the driver of a guest of `current` pages wakes by itself to
  // work on; nullopt if it has nothing to do until its target changes.  After
  // kDone there is work only if rounds were cut short from outside; after
  // kCancelled if it gave up for want of pages, or the balloon's pfns that were
  // lent out are to come back.
  std::optional<uint32_t> SecondsToWake(PageCount current) const;

  // Pages that the guest still has to get; negative if it has to give pages.
  int64_t credit(PageCount current) const {
    return static_cast<int64_t>(target_.value()) -
           static_cast<int64_t>(current.value());
  }
  PageCount target() const { return target_; }
  PageCount batch() const { return PageCount(batch_); }
  // Whether an empty balloon made the driver give up the target that was set.
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
