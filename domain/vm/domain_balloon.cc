#include "domain/vm/domain_balloon.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/units/size_text.h"
#include "domain/vm/balloon_rounds.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

constexpr PageCount kAllPages{~uint64_t{0}};

std::string By(PageCount pages) { return absl::StrCat("by ", SizeText(pages)); }

std::string EmptyBalloon(PageCount holds) {
  if (holds == PageCount(0)) {
    return "its balloon is empty, so the guest has no pfns for new pages; only "
           "a domain created with more memory or maxmem can grow further";
  }
  return absl::StrFormat(
      "its balloon holds %s, and the guest has no other pfns for new pages; "
      "ask for at most that",
      SizeText(holds));
}

absl::Status CheckPageCount(const Context& context, PageCount pages) {
  if (pages > PageCount(0)) return absl::OkStatus();
  return context.Refuse(absl::StatusCode::kInvalidArgument,
                        Reason::kRangeInvalid, "of 0 pages; name at least one",
                        "");
}

absl::Status NoLeafPages(const Context& context, PageCount pages, PageCount got,
                         PageCount needed) {
  return context.Refuse(
      absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
      By(pages),
      absl::StrFormat("its guest has %d free pages and needs %d for leaves of "
                      "its p2m list; allow a partial move",
                      got.value(), needed.value()),
      {{fact::kRequested, needed.value()},
       {fact::kAvailable, got.value()},
       {fact::kUnit, "pages"}});
}

// Pages that the leaves for the next `pages` pages of the balloon take, at most
// `most` for each of its extents; 0 unless room is compact.
PageCount LeafPagesUp(const Guest& guest, PageCount pages, PageCount most) {
  if (guest.config().p2m.balloon_room == BalloonRoom::kFaithful) {
    return PageCount(0);
  }
  const RangeFill fill = RangeFill::Ram(Mfn(0));
  PageCount needed;
  for (const PfnExtent& pfns : guest.balloon().list().Next(pages)) {
    needed += std::min(most, guest.list().PagesToSet(pfns, fill));
  }
  return needed;
}

// Pages that the guest has pfns for; nullopt before it has booted.
std::optional<PageCount> MostPages(const Parts& on) {
  if (on.guest() == nullptr) return std::nullopt;
  const Balloon& balloon = on.guest()->balloon();
  return on.reservation.current() + balloon.size() + balloon.lent().size();
}

// Checks that the whole of a move upwards is within the limits.
absl::Status CheckRoomUp(ChangeScope& change, PageCount pages) {
  const Context& context = change.context();
  const Guest& guest = *change.parts().guest();
  SIMVISOR_RETURN_IF_ERROR(change.parts().reservation.CheckRoom(
      context, pages, change.held(), MostPages(change.parts())));
  const PageCount ballooned = guest.balloon().size();
  if (pages > ballooned) {
    return context.Refuse(absl::StatusCode::kResourceExhausted,
                          Reason::kPfnNotBalloonable, By(pages),
                          EmptyBalloon(ballooned),
                          {{fact::kRequested, pages.value()},
                           {fact::kAvailable, ballooned.value()},
                           {fact::kUnit, "pages"}});
  }
  // A leaf takes PTE pages, a tree page and itself at most.  Once a whole leaf
  // has been filled, the next leaves are made of the pages that it brought; the
  // first leaf of an extent may be filled only in part.
  const PageCount two_leaves(2 * (guest.list().abi().pmds_per_mid + 2));
  const PageCount needed = LeafPagesUp(guest, pages, two_leaves);
  const PageCount free = guest.free_pages().count();
  if (needed <= free) return absl::OkStatus();
  return NoLeafPages(context, pages, free, needed);
}

// Sets the driver's target to `target` by hand, wakes the driver and lets it
// work.  Afterwards both targets are what the guest has.
absl::Status Drive(ChangeScope& change, PageCount target,
                   BalloonRounds& rounds) {
  Reservation& reservation = change.parts().reservation;
  Balloon& balloon = change.parts().guest()->balloon();
  balloon.SetTarget(target, reservation.current());
  rounds.by_hand = true;
  const absl::Status status = RunBalloon(change, rounds);
  reservation.TargetFollows();
  balloon.SetTarget(reservation.target(), reservation.current());
  return status;
}

absl::StatusOr<PageCount> MoveDown(ChangeScope& change, PageCount pages,
                                   BalloonRounds& rounds) {
  const PageCount before = change.parts().reservation.current();
  SIMVISOR_RETURN_IF_ERROR(
      Drive(change, before - std::min(pages, before), rounds));
  return rounds.moved;
}

absl::StatusOr<PageCount> MoveAllDown(ChangeScope& change, PageCount pages) {
  const Context& context = change.context();
  const PageCount had = change.parts().reservation.current();
  SIMVISOR_RETURN_IF_ERROR(Reservation::CheckDom0Keeps(
      context, had - std::min(pages, had), [pages, had] {
        return absl::StrFormat("by %s of its %s", SizeText(pages),
                               SizeText(had));
      }));
  // All or nothing: no failure may stop the move half-way.
  PageCount got;
  SIMVISOR_ASSIGN_OR_RETURN(DownPlan plan, PlanAllDown(change, pages, &got));
  if (got < pages) {
    return context.Refuse(
        absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
        By(pages),
        absl::StrFormat("its guest can give %s of its %s; ask for less, or "
                        "allow a partial move",
                        SizeText(got), SizeText(had)),
        {{fact::kRequested, pages.value()},
         {fact::kAvailable, got.value()},
         {fact::kUnit, "pages"}});
  }
  BalloonRounds rounds = {.plan = &plan, .whole = change.must_be_whole()};
  return MoveDown(change, pages, rounds);
}

absl::StatusOr<PageCount> MoveUp(ChangeScope& change, PageCount pages,
                                 RoundFrames frames) {
  const Parts& on = change.parts();
  const PageCount before = on.reservation.current();
  const PageCount most = std::min(pages, on.guest()->balloon().size());
  BalloonRounds rounds = {.frames = frames};
  SIMVISOR_RETURN_IF_ERROR(Drive(change, before + most, rounds));
  return rounds.moved;
}

absl::StatusOr<PageCount> MoveAllUp(ChangeScope& change, PageCount pages) {
  // Before anything is settled: settled pages do not outlive a wait.
  SIMVISOR_RETURN_IF_ERROR(ClaimUp(change, pages));
  SIMVISOR_RETURN_IF_ERROR(CheckRoomUp(change, pages));
  const Context& context = change.context();
  Guest& guest = *change.parts().guest();
  const PageCount leaf_pages = LeafPagesUp(guest, pages, kAllPages);
  const FreePages::Settled settled(guest.free_pages(), leaf_pages);
  if (settled.count() < leaf_pages) {
    return NoLeafPages(context, pages, settled.count(), leaf_pages);
  }
  if (const absl::Status claimed = change.ClaimFrames(pages); !claimed.ok()) {
    return context.Within(claimed);
  }
  return MoveUp(change, pages, RoundFrames::kClaimed);
}

// `change`, which at its end writes the domain's memory to `after`.
template <typename F>
auto WithMemoryAfter(const F& change, DomainMemory* after) {
  return [&change, after](ChangeScope& scope) {
    auto result = change(scope);
    if (after != nullptr) *after = scope.Memory();
    return result;
  };
}

}  // namespace

absl::StatusOr<PageCount> DomainBalloon::Down(const Operation& operation,
                                              PageCount pages,
                                              bool allow_partial,
                                              DomainMemory* after) const {
  const auto move = [=](ChangeScope& change) -> absl::StatusOr<PageCount> {
    SIMVISOR_RETURN_IF_ERROR(CheckPageCount(change.context(), pages));
    SIMVISOR_RETURN_IF_ERROR(TakeDriverSeat(change));
    if (!allow_partial) return MoveAllDown(change, pages);
    const PageCount most = std::min(
        pages, change.parts().reservation.AboveLeast(change.context().id()));
    if (most == PageCount(0)) return most;
    BalloonRounds rounds;
    return MoveDown(change, most, rounds);
  };
  return domain_.Change(operation, Needs::kRunning,
                        WithMemoryAfter(move, after));
}

absl::StatusOr<PageCount> DomainBalloon::Up(const Operation& operation,
                                            PageCount pages, bool allow_partial,
                                            DomainMemory* after) const {
  const auto move = [=](ChangeScope& change) -> absl::StatusOr<PageCount> {
    SIMVISOR_RETURN_IF_ERROR(CheckPageCount(change.context(), pages));
    SIMVISOR_RETURN_IF_ERROR(TakeDriverSeat(change));
    return allow_partial ? MoveUp(change, pages, RoundFrames::kAsNeeded)
                         : MoveAllUp(change, pages);
  };
  return domain_.Change(operation, Needs::kRunning,
                        WithMemoryAfter(move, after));
}

absl::Status DomainBalloon::SetTarget(const Operation& operation,
                                      PageCount target,
                                      DomainMemory* after) const {
  const auto set = [=](ChangeScope& change) -> absl::Status {
    Parts& on = change.parts();
    // A call that drives the balloon by hand sets the target at its end.
    SIMVISOR_RETURN_IF_ERROR(TakeDriverSeat(change));
    SIMVISOR_RETURN_IF_ERROR(
        on.reservation.SetTarget(change.context(), target, MostPages(on)));
    // A guest that has not booted yet reads it when it boots.
    if (on.guest() != nullptr) on.guest()->balloon().TargetWritten();
    if (!on.life.runs()) return absl::OkStatus();
    change.Show();
    change.waits().Demand(Needs::kRunning);
    const absl::Status driven = ReadTarget(change);
    // A guest that was paused meanwhile goes on when it runs again.
    return on.life.has_run() && !on.life.runs() ? absl::OkStatus() : driven;
  };
  return domain_.Change(operation, Needs::kNotSuspended,
                        WithMemoryAfter(set, after));
}

absl::Status DomainBalloon::SetMaximum(const Operation& operation,
                                       PageCount max_memory,
                                       DomainMemory* after) const {
  const Abi& abi = domain_.abi();
  const auto set = [&](ChangeScope& change) -> absl::Status {
    return change.parts().reservation.SetMaximum(change.context(), max_memory,
                                                 abi);
  };
  return domain_.Change(operation, Needs::kNotSuspended,
                        WithMemoryAfter(set, after));
}

BalloonTimer DomainBalloon::timer() const { return timers().balloon; }

DomainBalloon::Timers DomainBalloon::timers() const {
  return domain_.Peek([](const Parts& on) {
    if (on.guest() == nullptr) return Timers();
    Timers timers = {
        .balloon = on.guest()->balloon().timer(on.reservation.current()),
        .has_load = on.guest()->load() != nullptr};
    // The timer of a paused guest goes on.
    if (!on.life.has_run()) timers.balloon.seconds = std::nullopt;
    return timers;
  });
}

absl::Status DomainBalloon::Wake(const Operation& operation,
                                 const BalloonTimer& timer) const {
  const auto wake = [&timer](ChangeScope& change) -> absl::Status {
    const Parts& on = change.parts();
    const auto is_due = [&] {
      return on.life.has_run() &&
             on.guest()->balloon().IsDue(timer, on.reservation.current());
    };
    if (!is_due()) return absl::OkStatus();
    if (!on.life.runs()) {
      change.parts().guest()->balloon().MissWakeUp();
      return absl::OkStatus();
    }
    change.waits().Demand(Needs::kRunning);
    SIMVISOR_RETURN_IF_ERROR(TakeDriverSeat(change));
    if (!is_due()) return absl::OkStatus();
    BalloonRounds rounds;
    return RunBalloon(change, rounds);
  };
  return domain_.Change(operation, Needs::kNothing, wake);
}

}  // namespace simvisor
