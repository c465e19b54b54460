#include "domain/vm/balloon_rounds.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <utility>
#include <vector>

#include "base/status_macros.h"

namespace simvisor {
namespace {

// Pages and extents of one range.  More would hold the domain's lock for long;
// fewer would cost a round trip to subscriptions for few pages.
constexpr size_t kExtentsPerRange = 1024;
constexpr PageCount kPagesPerRange{kPagesPerGiB};

[[maybe_unused]] bool HasRunningGuest(const Parts& on) {
  return on.guest() != nullptr && on.life.runs();
}

PfnClaims::What SeatAnd(PfnSet pfns) {
  return {.pfns = std::move(pfns), .shared = false, .seat = true};
}

// Takes the highest free pages that no other change has claimed; if there are
// not so many, the highest free pages.
DownPlan TakeDown(ChangeScope& change, PageCount pages) {
  Guest& guest = *change.parts().guest();
  FreePages& free = guest.free_pages();
  std::vector<PfnExtent> claimed;
  const PfnSet held = change.waits().HeldByOthers();
  for (const auto& [first, end] : held.extents()) {
    for (const PfnExtent& pfns : free.RemoveWithin(ExtentBetween(first, end))) {
      claimed.push_back(pfns);
    }
  }
  DownPlan plan = guest.PlanDown(pages);
  for (const PfnExtent& pfns : claimed) free.Return(pfns);
  if (claimed.empty() || plan.count() == pages) return plan;
  guest.AbandonDown(plan);
  return guest.PlanDown(pages);
}

// Moves one range after the other.
absl::Status MoveTold(ChangeScope& change, DownPlan& plan, bool whole,
                      PageCount* moved) {
  Guest& guest = *change.parts().guest();
  ChangeWaits& waits = change.waits();
  absl::Status status;
  while (status.ok() && !plan.empty()) {
    DownPlan range = whole ? std::exchange(plan, DownPlan())
                           : plan.TakeRound(kExtentsPerRange, kPagesPerRange,
                                            guest.balloon().driver().batch());
    status = waits.Tell(range.Set(), InvalidateReason::kUnmap);
    if (status.ok()) status = guest.CommitDown(range, change, moved);
    guest.AbandonDown(range);
    waits.EndTold();
  }
  return status;
}

absl::Status MoveDown(ChangeScope& change, PageCount pages,
                      BalloonRounds& rounds, PageCount* moved) {
  Guest& guest = *change.parts().guest();
  DownPlan plan;
  if (rounds.plan != nullptr && !rounds.plan->empty()) {
    plan = std::exchange(*rounds.plan, DownPlan());
  } else {
    SIMVISOR_ASSIGN_OR_RETURN(plan, PlanDown(change, pages));
  }
  const absl::Status status = change.waits().active()
                                  ? MoveTold(change, plan, rounds.whole, moved)
                                  : guest.CommitDown(plan, change, moved);
  guest.AbandonDown(plan);
  return status;
}

absl::Status MoveUp(ChangeScope& change, PageCount pages, RoundFrames frames,
                    PageCount* moved) {
  SIMVISOR_RETURN_IF_ERROR(ClaimUp(change, pages));
  if (frames == RoundFrames::kAsNeeded) {
    const PageCount room = change.parts().reservation.Room(change.held());
    change.ClaimFramesUpTo(std::min(pages, room));
  }
  return change.parts().guest()->MoveUp(std::min(pages, change.claimed()),
                                        change, moved);
}

// Lets the driver move `owed` more of `current` pages down.
void AimBelow(PageCount current, PageCount owed, Balloon& balloon) {
  balloon.SetTarget(current - std::min(owed, current), current);
}

}  // namespace

absl::Status TakeDriverSeat(ChangeScope& change) {
  return change.waits().active() ? change.waits().Claim(SeatAnd({}))
                                 : absl::OkStatus();
}

absl::StatusOr<DownPlan> PlanDown(ChangeScope& change, PageCount pages) {
  Guest& guest = *change.parts().guest();
  ChangeWaits& waits = change.waits();
  while (true) {
    DownPlan plan = TakeDown(change, pages);
    if (!waits.active() || waits.TryClaim(SeatAnd(plan.Set()))) return plan;
    guest.AbandonDown(plan);
    SIMVISOR_RETURN_IF_ERROR(waits.AwaitTurn());
  }
}

absl::StatusOr<DownPlan> PlanAllDown(ChangeScope& change, PageCount pages,
                                     PageCount* got) {
  Guest& guest = *change.parts().guest();
  ChangeWaits& waits = change.waits();
  while (true) {
    DownPlan plan;
    {
      // No page may be refused half-way.
      FreePages& free = guest.free_pages();
      const FreePages::Settled settled(free, std::min(pages, free.count()));
      *got = settled.count();
      if (*got < pages) return plan;
      plan = TakeDown(change, pages);
    }
    if (!waits.active() || waits.TryClaim(SeatAnd(plan.Set()))) return plan;
    guest.AbandonDown(plan);
    SIMVISOR_RETURN_IF_ERROR(waits.AwaitTurn());
  }
}

absl::Status ClaimUp(ChangeScope& change, PageCount pages) {
  ChangeWaits& waits = change.waits();
  if (!waits.active()) return absl::OkStatus();
  while (true) {
    PfnSet pfns;
    const BalloonList& list = change.parts().guest()->balloon().list();
    for (const PfnExtent& next : list.Next(pages)) pfns.Add(next);
    if (waits.TryClaim(SeatAnd(std::move(pfns)))) return absl::OkStatus();
    SIMVISOR_RETURN_IF_ERROR(waits.AwaitTurn());
  }
}

absl::Status RunBalloon(ChangeScope& change, BalloonRounds& rounds) {
  assert(HasRunningGuest(change.parts()));
  const Reservation& reservation = change.parts().reservation;
  Guest& guest = *change.parts().guest();
  Balloon& balloon = guest.balloon();
  balloon.BeginWakeUp();
  while (true) {
    PageCount available = guest.free_pages().count();
    if (rounds.plan != nullptr) available += rounds.plan->count();
    const BalloonDriver::Spare spare = {.available = available};
    const BalloonDriver::Round round = balloon.NextRound(reservation.current());
    absl::Status status;
    PageCount moved;
    if (round.direction == BalloonDriver::Direction::kUp) {
      status = MoveUp(change, round.pages, rounds.frames, &moved);
    } else if (round.direction == BalloonDriver::Direction::kDown) {
      const PageCount owed = reservation.current() - balloon.driver().target();
      status = MoveDown(change, round.pages, rounds, &moved);
      // Pages that other changes gave back meanwhile do not count.
      if (rounds.by_hand) {
        AimBelow(reservation.current(), owed - moved, balloon);
      }
    }
    rounds.moved += moved;
    const PageCount current = reservation.current();
    if (!status.ok()) {
      balloon.StopRound(round, moved, current);
      return status;
    }
    const BalloonState state = balloon.EndRound(round, moved, spare, current);
    if (state != BalloonState::kDone || balloon.driver().credit(current) == 0) {
      return status;
    }
    // The close of a range gives the lock up; the domain may have ended since,
    // and its frames would never come back.
    SIMVISOR_RETURN_IF_ERROR(change.waits().StillAllowed());
  }
}

absl::Status ReadTarget(ChangeScope& change) {
  assert(HasRunningGuest(change.parts()));
  const Reservation& reservation = change.parts().reservation;
  Balloon& balloon = change.parts().guest()->balloon();
  const absl::Status seat = TakeDriverSeat(change);
  const bool works =
      balloon.ReadTarget(reservation.target(), reservation.current());
  if (!seat.ok()) {
    if (works) balloon.WorkLater();
    return seat;
  }
  BalloonRounds rounds;
  return works ? RunBalloon(change, rounds) : absl::OkStatus();
}

}  // namespace simvisor
