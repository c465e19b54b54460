// The work of a guest's balloon driver: rounds of pages out of the guest or
// into it, from one wake-up to its end.
//
// Every balloon operation comes here, as do timers and a guest that runs again.
// Source: balloon_thread() in drivers/xen/balloon.c.
//
// Thread safety: the domain's lock is held, as the scope says.

#ifndef SIMVISOR_DOMAIN_VM_BALLOON_ROUNDS_H_
#define SIMVISOR_DOMAIN_VM_BALLOON_ROUNDS_H_

#include "absl/status/status.h"
#include "domain/vm/change_scope.h"

namespace simvisor {

// Where the frames of rounds upwards come from.
enum class RoundFrames {
  kClaimed,   // the scope's claim
  kAsNeeded,  // as many as pool and limit allow
};

// The rounds of one wake-up, up to the first that is not kDone.  What stops the
// change ends them; what has moved stays moved.
// REQUIRES: the domain has a guest, which runs.
absl::Status RunBalloon(ChangeScope& change, RoundFrames frames);

// Has the guest read the domain's target, if that was written since it last
// did, and lets its driver work if that wakes it or if its timer ran out
// while the guest was paused.  REQUIRES: as above.
absl::Status ReadTarget(ChangeScope& change);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_BALLOON_ROUNDS_H_
