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
#include "domain/vm/change_scope.h"

namespace simvisor {

// Where rounds upwards take their frames from.
enum class RoundFrames {
  kClaimed,   // the scope's claim
  kAsNeeded,  // as many as pool and limit allow
};

// Runs the rounds of one wake-up, until a round is not kDone or nothing is left
// to move.  A status of Preempted() ends them and is the result; pages that
// have moved stay moved.
// REQUIRES: the domain has a guest, and it runs.
absl::Status RunBalloon(ChangeScope& change, RoundFrames frames);

// Has the guest read the domain's target if it was written since the guest last
// read it.  Then lets the driver work, as RunBalloon() does, if the target
// wakes it, if its timer ran out while the guest was paused, or if its last
// round was stopped.
// REQUIRES: the domain has a guest, and it runs.
absl::Status ReadTarget(ChangeScope& change);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_BALLOON_ROUNDS_H_
