// The work of a guest's balloon driver after a wake-up: rounds that move pages
// out of the guest or into it.
//
// Every balloon operation comes here, and so does a timer that runs out, or a
// guest that runs again.
// Source: balloon_thread() in drivers/xen/balloon.c.
//
// Thread safety: the caller holds the domain's lock, as its ChangeScope shows.

#ifndef SIMVISOR_DOMAIN_VM_BALLOON_ROUNDS_H_
#define SIMVISOR_DOMAIN_VM_BALLOON_ROUNDS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domain/guest/down_plan.h"
#include "domain/units/units.h"
#include "domain/vm/change_scope.h"

namespace simvisor {

// Where rounds upwards take their frames from.
enum class RoundFrames {
  kClaimed,   // the scope's claim
  kAsNeeded,  // as many as pool and limit allow
};

// What the rounds of a wake-up move, besides what the driver wants.
struct BalloonRounds {
  RoundFrames frames = RoundFrames::kAsNeeded;
  // Pages that the first round moves out, if not null.
  DownPlan* plan = nullptr;
  // All subscriptions are told of a whole round in one range, so that it moves
  // altogether or not at all.
  bool whole = false;
  // The driver is to move so many pages down, whatever else the guest gives
  // back meanwhile, and not to reach a target.
  bool by_hand = false;
  PageCount moved = PageCount(0);  // by all rounds so far
};

// Runs the rounds of one wake-up, until a round is not kDone or nothing is left
// to move.  A status of Preempted() or of waits() ends them and is the result;
// pages that have moved stay moved.
// REQUIRES: the domain has a guest, and it runs; the change has the driver's
// seat.
absl::Status RunBalloon(ChangeScope& change, BalloonRounds& rounds);

// Claims the driver's seat: nothing else drives the balloon until the change
// ends.  Errors of ChangeWaits::AwaitTurn().
absl::Status TakeDriverSeat(ChangeScope& change);

// Take up to `pages` free pages off the guest, once no other change claims
// them. PlanAllDown() takes none unless it gets all, and sets *got to what
// there is.
absl::StatusOr<DownPlan> PlanDown(ChangeScope& change, PageCount pages);
absl::StatusOr<DownPlan> PlanAllDown(ChangeScope& change, PageCount pages,
                                     PageCount* got);
// Claims the pfns of the balloon that come back next.
absl::Status ClaimUp(ChangeScope& change, PageCount pages);

// Has the guest read the domain's target if it was written since the guest last
// read it.  Then lets the driver work, as RunBalloon() does, if the target
// wakes it, if its timer ran out while the guest was paused, or if its last
// round was stopped.  If the driver's seat cannot be had, the driver works
// later.
// REQUIRES: the domain has a guest, and it runs.
absl::Status ReadTarget(ChangeScope& change);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_BALLOON_ROUNDS_H_
