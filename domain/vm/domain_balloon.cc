// The balloon of a domain: pages out of its guest and into it.
//
// A real driver moves one batch of frame numbers per hypercall.  A batch that
// is granted in full leaves no trace, so many are done together here, between
// two looks at `stop`.

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

absl::Status CheckPageCount(const Context& context, PageCount pages) {
  if (pages > PageCount(0)) return absl::OkStatus();
  return context.Refuse(absl::StatusCode::kInvalidArgument,
                        Reason::kRangeInvalid, "of 0 pages; name at least one",
                        "");
}

constexpr PageCount kAllPages{~uint64_t{0}};

absl::Status NoLeafPages(const Context& context, PageCount pages, PageCount got,
                         PageCount needed) {
  return context.Refuse(
      absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
      absl::StrFormat("by %d pages", pages.value()),
      absl::StrFormat("its guest has %d free pages and needs %d for leaves of "
                      "its p2m list; allow a partial move",
                      got.value(), needed.value()));
}

}  // namespace

absl::StatusOr<PageCount> Domain::BalloonDown(const Operation& operation,
                                              PageCount pages,
                                              bool allow_partial) {
  const ChangeLock lock(this);
  const Context context(id_, operation.name);
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kRunning));
  SIMVISOR_RETURN_IF_ERROR(CheckPageCount(context, pages));
  if (allow_partial) {
    pages = std::min(pages, reservation_.AboveLeast(id_));
    if (pages == PageCount(0)) return pages;
  } else {
    const PageCount had = reservation_.current();
    SIMVISOR_RETURN_IF_ERROR(Reservation::CheckDom0Keeps(
        context, had - std::min(pages, had),
        absl::StrFormat("by %d of its %d pages", pages.value(), had.value())));
  }
  // All or nothing: what moves must not run into a failure half-way.
  const FreePages::Settled settled(
      free_pages_,
      allow_partial ? PageCount(0) : std::min(pages, free_pages_.count()));
  if (settled.count() < pages && !allow_partial) {
    return context.Refuse(
        absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
        absl::StrFormat("by %d pages", pages.value()),
        absl::StrFormat("its guest can give %d of its %d pages; ask for fewer, "
                        "or allow a partial move",
                        settled.count().value(),
                        reservation_.current().value()));
  }
  const PageCount before = reservation_.current();
  const absl::Status status =
      Drive(before - std::min(pages, before), nullptr, operation.stop);
  if (!status.ok()) return status;
  return before - reservation_.current();
}

absl::StatusOr<PageCount> Domain::BalloonUp(const Operation& operation,
                                            PageCount pages,
                                            bool allow_partial) {
  const ChangeLock lock(this);
  const Context context(id_, operation.name);
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kRunning));
  SIMVISOR_RETURN_IF_ERROR(CheckPageCount(context, pages));
  if (!allow_partial) SIMVISOR_RETURN_IF_ERROR(CheckRoomUp(context, pages));
  const PageCount leaf_pages =
      allow_partial ? PageCount(0) : LeafPagesUp(pages, kAllPages);
  const FreePages::Settled settled(free_pages_, leaf_pages);
  if (settled.count() < leaf_pages) {
    return NoLeafPages(context, pages, settled.count(), leaf_pages);
  }
  FrameClaim claim;
  if (!allow_partial) {
    absl::StatusOr<FrameClaim> claimed = pool_.Claim(pages, reach_);
    if (!claimed.ok()) {
      return context.Refuse(claimed.status().code(),
                            Reason::kHostMemoryExhausted, "",
                            claimed.status().message());
    }
    claim = *std::move(claimed);
  }
  const PageCount before = reservation_.current();
  const absl::Status status =
      Drive(before + std::min(pages, balloon_.size()),
            allow_partial ? nullptr : &claim, operation.stop);
  if (!status.ok()) return status;
  return reservation_.current() - before;
}

absl::Status Domain::CheckRoomUp(const Context& context,
                                 PageCount pages) const {
  SIMVISOR_RETURN_IF_ERROR(
      reservation_.CheckRoom(context, pages, pool_.HeldBy(id_)));
  if (pages > balloon_.size()) {
    return context.Refuse(absl::StatusCode::kResourceExhausted,
                          Reason::kPfnNotBalloonable,
                          absl::StrFormat("by %d pages", pages.value()),
                          absl::StrFormat("its balloon holds %d pfns; create "
                                          "it with more maxmem to give it room",
                                          balloon_.size().value()));
  }
  // A leaf takes PTE pages, a tree page and itself at most.  Once a whole leaf
  // has been filled, the next ones are made of what it brought; of each extent
  // the first leaf may be filled in part.
  const PageCount two_leaves(2 * (abi_->pmds_per_mid + 2));
  const PageCount needed = LeafPagesUp(pages, two_leaves);
  if (needed <= free_pages_.count()) return absl::OkStatus();
  return NoLeafPages(context, pages, free_pages_.count(), needed);
}

PageCount Domain::LeafPagesUp(PageCount pages, PageCount most) const {
  if (spec_.p2m.balloon_room == BalloonRoom::kFaithful) return PageCount(0);
  const P2mList::RangeFill fill = P2mList::RangeFill::Ram(Mfn(0));
  PageCount needed;
  for (const PfnExtent& pfns : balloon_.list().Next(pages)) {
    needed += std::min(most, list_->PagesToSet(pfns, fill));
  }
  return needed;
}

absl::Status Domain::Drive(PageCount target, FrameClaim* claim,
                           StopCheck stop) {
  balloon_.SetTarget(target, reservation_.current());
  const absl::Status status = WorkDriver(claim, stop);
  reservation_.TargetFollows();
  balloon_.SetTarget(reservation_.target(), reservation_.current());
  return status;
}

absl::Status Domain::ReadTarget(StopCheck stop) {
  return balloon_.ReadTarget(reservation_.target(), reservation_.current())
             ? WorkDriver(nullptr, stop)
             : absl::OkStatus();
}

absl::Status Domain::WorkDriver(FrameClaim* claim, StopCheck stop) {
  balloon_.BeginWakeUp();
  while (true) {
    const BalloonDriver::Spare spare = {.available = free_pages_.count()};
    const BalloonDriver::Round round =
        balloon_.NextRound(reservation_.current());
    absl::Status status;
    PageCount moved;
    if (round.direction == BalloonDriver::Direction::kUp) {
      status = MoveUp(round.pages, claim, stop, &moved);
    } else if (round.direction == BalloonDriver::Direction::kDown) {
      status = MoveDown(round.pages, stop, &moved);
    }
    const PageCount current = reservation_.current();
    if (!status.ok()) {
      balloon_.StopRound(round, moved, current);
      return status;
    }
    const BalloonState state = balloon_.EndRound(round, moved, spare, current);
    if (state != BalloonState::kDone ||
        balloon_.driver().credit(current) == 0) {
      return status;
    }
  }
}

BalloonTimer Domain::balloon_timer() const { return timers().balloon; }

Domain::Timers Domain::timers() const {
  absl::ReaderMutexLock lock(&mu_);
  Timers timers = {.balloon = balloon_.timer(reservation_.current()),
                   .has_load = load_ != nullptr};
  // A guest's time goes on while it is paused.
  if (!HasDriver()) timers.balloon.seconds = std::nullopt;
  return timers;
}

absl::Status Domain::WakeBalloon(const Operation& operation,
                                 const BalloonTimer& timer) {
  const ChangeLock lock(this);
  if (!HasDriver() || !balloon_.IsDue(timer, reservation_.current())) {
    return absl::OkStatus();
  }
  if (life_.runs()) return WorkDriver(nullptr, operation.stop);
  balloon_.MissWakeUp();
  return absl::OkStatus();
}

BalloonDriverInfo Domain::DriverInfo() const {
  const BalloonDriver& driver = balloon_.driver();
  return {.current = reservation_.current(),
          .target = driver.target(),
          .low = balloon_.list().low_count(),
          .high = balloon_.list().high_count(),
          .batch = driver.batch(),
          .state = driver.policy().state(),
          .schedule_delay = driver.policy().delay_seconds(),
          .max_schedule_delay = BalloonPolicy::kMaxDelay,
          .retry_count = driver.policy().retry_count(),
          .max_retry_count = driver.policy().max_retry(),
          .extra_regions = {}};
}

absl::Status Domain::MoveDown(PageCount pages, StopCheck stop,
                              PageCount* moved) {
  std::vector<PfnExtent> taken;
  absl::Status status;
  while (status.ok() && *moved < pages) {
    PfnExtent pfns = free_pages_.TakeForBalloon(pages - *moved);
    if (pfns.empty()) break;
    const PfnExtent all = pfns;
    status = MoveExtentDown(pfns, stop);
    taken.push_back(ExtentBetween(all.first, pfns.first));
    *moved += taken.back().count;
    if (!pfns.empty()) free_pages_.Return(pfns);
  }
  balloon_.Enter(taken);
  return status;
}

absl::Status Domain::MoveExtentDown(PfnExtent& pfns, StopCheck stop) {
  std::vector<MfnExtent> frames;
  while (!pfns.empty()) {
    SIMVISOR_RETURN_IF_ERROR(stop());
    frames.clear();
    const Pfn next = words_->CollectFrames(pfns, kMaxRuns, frames);
    const PfnExtent part = ExtentBetween(pfns.first, next);
    list_->Clear(part);
    dirty_.Mark(part);
    balloon_.Entering(part.count);
    FreeFrames(frames);
    pfns = ExtentBetween(next, pfns.end());
  }
  return absl::OkStatus();
}

absl::Status Domain::MoveUp(PageCount pages, FrameClaim* claim, StopCheck stop,
                            PageCount* moved) {
  FrameClaim own;
  if (claim == nullptr) {
    own = pool_.ClaimUpTo(std::min(pages, RoomBelowMax()), reach_);
    claim = &own;
  }
  pages = std::min(pages, claim->remaining());
  while (*moved < pages) {
    SIMVISOR_RETURN_IF_ERROR(stop());
    const PfnExtent pfns = balloon_.list().Pop(pages - *moved);
    // Room that has never been used has shared leaves if it is compact.
    P2mList& list = *list_;
    const Pfn ready = list.AllocEntries(pfns, free_pages_);
    const PageCount done =
        pool_.Populate(*claim, id_, ExtentBetween(pfns.first, ready),
                       [&list](Pfn pfn, absl::Span<const MfnExtent> frames) {
                         list.StoreFrames(pfn, frames);
                       });
    const PfnExtent filled = {pfns.first, done};
    dirty_.Mark(filled);
    balloon_.list().PutBack(ExtentBetween(filled.end(), pfns.end()));
    reservation_.Gained(done);
    free_pages_.Return(filled);
    *moved += done;
    Show();
    if (done == PageCount(0)) break;  // no page for a leaf
  }
  return absl::OkStatus();
}

absl::Status Domain::SetTarget(const Operation& operation, PageCount target) {
  const ChangeLock lock(this);
  const Context context(id_, operation.name);
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kAwake));
  SIMVISOR_RETURN_IF_ERROR(reservation_.SetTarget(context, target));
  balloon_.TargetWritten();
  if (!life_.runs()) return absl::OkStatus();
  Show();
  return ReadTarget(operation.stop);
}

absl::Status Domain::SetMaxMemory(const Operation& operation,
                                  PageCount max_memory) {
  const ChangeLock lock(this);
  const Context context(id_, operation.name);
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kAwake));
  return reservation_.SetMaximum(context, max_memory, *abi_);
}

}  // namespace simvisor
