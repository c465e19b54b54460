#include "domain/vm/balloon_rounds.h"

#include <algorithm>
#include <cassert>

namespace simvisor {
namespace {

[[maybe_unused]] bool HasRunningGuest(const Parts& on) {
  return on.guest() != nullptr && on.life.runs();
}

absl::Status MoveUp(ChangeScope& change, PageCount pages, RoundFrames frames,
                    PageCount* moved) {
  if (frames == RoundFrames::kAsNeeded) {
    const PageCount room = change.parts().reservation.Room(change.held());
    change.ClaimFramesUpTo(std::min(pages, room));
  }
  return change.parts().guest()->MoveUp(std::min(pages, change.claimed()),
                                        change, moved);
}

}  // namespace

absl::Status RunBalloon(ChangeScope& change, RoundFrames frames) {
  assert(HasRunningGuest(change.parts()));
  const Reservation& reservation = change.parts().reservation;
  Guest& guest = *change.parts().guest();
  Balloon& balloon = guest.balloon();
  balloon.BeginWakeUp();
  while (true) {
    const BalloonDriver::Spare spare = {.available =
                                            guest.free_pages().count()};
    const BalloonDriver::Round round = balloon.NextRound(reservation.current());
    absl::Status status;
    PageCount moved;
    if (round.direction == BalloonDriver::Direction::kUp) {
      status = MoveUp(change, round.pages, frames, &moved);
    } else if (round.direction == BalloonDriver::Direction::kDown) {
      status = guest.MoveDown(round.pages, change, &moved);
    }
    const PageCount current = reservation.current();
    if (!status.ok()) {
      balloon.StopRound(round, moved, current);
      return status;
    }
    const BalloonState state = balloon.EndRound(round, moved, spare, current);
    if (state != BalloonState::kDone || balloon.driver().credit(current) == 0) {
      return status;
    }
  }
}

absl::Status ReadTarget(ChangeScope& change) {
  assert(HasRunningGuest(change.parts()));
  const Reservation& reservation = change.parts().reservation;
  Balloon& balloon = change.parts().guest()->balloon();
  return balloon.ReadTarget(reservation.target(), reservation.current())
             ? RunBalloon(change, RoundFrames::kAsNeeded)
             : absl::OkStatus();
}

}  // namespace simvisor
