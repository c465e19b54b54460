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

constexpr uint64_t kBatchesPerRound = uint64_t{1} << 32;

absl::Status CheckPageCount(DomainId id, absl::string_view operation,
                            PageCount pages) {
  if (pages > PageCount(0)) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
      absl::StrFormat("domain %d: %s of 0 pages; name at least one", id.value(),
                      operation));
}

constexpr PageCount kAllPages{~uint64_t{0}};

absl::Status NoLeafPages(DomainId id, PageCount pages, PageCount got,
                         PageCount needed) {
  return MakeError(
      absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
      absl::StrFormat("domain %d: balloon up by %d pages: its guest has %d "
                      "free pages and needs %d for leaves of its p2m list; "
                      "allow a partial move",
                      id.value(), pages.value(), got.value(), needed.value()));
}

}  // namespace

absl::StatusOr<PageCount> Domain::BalloonDown(PageCount pages,
                                              bool allow_partial,
                                              StopCheck stop) {
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(CheckRunning("balloon down"));
  SIMVISOR_RETURN_IF_ERROR(CheckPageCount(id_, "balloon down", pages));
  if (allow_partial) {
    pages = std::min(pages, PagesAboveLeast());
    if (pages == PageCount(0)) return pages;
  } else {
    const PageCount had = current_;
    SIMVISOR_RETURN_IF_ERROR(
        CheckDom0Keeps(had - std::min(pages, had), [pages, had] {
          return absl::StrFormat("balloon down by %d of its %d pages",
                                 pages.value(), had.value());
        }));
  }
  // All or nothing: what moves must not run into a failure half-way.
  const FreePages::Settled settled(
      free_pages_,
      allow_partial ? PageCount(0) : std::min(pages, free_pages_.count()));
  if (settled.count() < pages && !allow_partial) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
        absl::StrFormat("domain %d: balloon down by %d pages: its guest can "
                        "give %d of its %d pages; ask for fewer, or allow a "
                        "partial move",
                        id_.value(), pages.value(), settled.count().value(),
                        current_.value()));
  }
  const PageCount before = current_;
  const absl::Status status =
      Drive(current_ - std::min(pages, current_), nullptr, stop);
  target_ = current_;
  driver_.SetTarget(target_);
  if (!status.ok()) return status;
  return before - current_;
}

absl::StatusOr<PageCount> Domain::BalloonUp(PageCount pages, bool allow_partial,
                                            StopCheck stop) {
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(CheckRunning("balloon up"));
  SIMVISOR_RETURN_IF_ERROR(CheckPageCount(id_, "balloon up", pages));
  if (!allow_partial) SIMVISOR_RETURN_IF_ERROR(CheckRoomUp(pages));
  const PageCount leaf_pages =
      allow_partial ? PageCount(0) : LeafPagesUp(pages, kAllPages);
  const FreePages::Settled settled(free_pages_, leaf_pages);
  if (settled.count() < leaf_pages) {
    return NoLeafPages(id_, pages, settled.count(), leaf_pages);
  }
  FrameClaim claim;
  if (!allow_partial) {
    absl::StatusOr<FrameClaim> claimed = pool_.Claim(pages, reach_);
    if (!claimed.ok()) {
      return MakeError(claimed.status().code(), Reason::kHostMemoryExhausted,
                       absl::StrFormat("domain %d: balloon up: %s", id_.value(),
                                       claimed.status().message()));
    }
    claim = *std::move(claimed);
  }
  const PageCount before = current_;
  const absl::Status status = Drive(current_ + std::min(pages, balloon_.size()),
                                    allow_partial ? nullptr : &claim, stop);
  target_ = current_;
  driver_.SetTarget(target_);
  if (!status.ok()) return status;
  return current_ - before;
}

absl::Status Domain::CheckRoomUp(PageCount pages) const {
  if (pages > RoomBelowMax()) {
    const PageCount held = pool_.HeldBy(id_);
    const PageCount limit =
        max_pages_ < static_max_ + held ? max_pages_ : static_max_;
    const std::string of_them =
        held == PageCount(0)
            ? ""
            : absl::StrFormat(" (%d of them held by other domains' mappings)",
                              held.value());
    return MakeError(
        absl::StatusCode::kResourceExhausted, Reason::kMaxMemExceeded,
        absl::StrFormat("domain %d: balloon up by %d pages: it has %d%s and "
                        "its limit is %d; raise the limit with mem-max, or use "
                        "mem-set",
                        id_.value(), pages.value(), (current_ + held).value(),
                        of_them, limit.value()));
  }
  if (pages > balloon_.size()) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, Reason::kPfnNotBalloonable,
        absl::StrFormat("domain %d: balloon up by %d pages: its balloon holds "
                        "%d pfns; create it with more maxmem to give it room",
                        id_.value(), pages.value(), balloon_.size().value()));
  }
  // A leaf takes PTE pages, a tree page and itself at most.  Once a whole leaf
  // has been filled, the next ones are made of what it brought; of each extent
  // the first leaf may be filled in part.
  const PageCount two_leaves(2 * (abi_->pmds_per_mid + 2));
  const PageCount needed = LeafPagesUp(pages, two_leaves);
  if (needed <= free_pages_.count()) return absl::OkStatus();
  return NoLeafPages(id_, pages, free_pages_.count(), needed);
}

PageCount Domain::LeafPagesUp(PageCount pages, PageCount most) const {
  if (spec_.p2m.balloon_room == BalloonRoom::kFaithful) return PageCount(0);
  const P2mList::RangeFill fill = P2mList::RangeFill::Ram(Mfn(0));
  PageCount needed;
  for (const PfnExtent& pfns : balloon_.Next(pages)) {
    needed += std::min(most, list_->PagesToSet(pfns, fill));
  }
  return needed;
}

PageCount Domain::RoomBelowMax() const {
  // The hypervisor counts held pages too.  The target follows the guest's, and
  // must not pass static-max, as in SetTarget().
  const PageCount owned = current_ + pool_.HeldBy(id_);
  const PageCount below_max =
      max_pages_ > owned ? max_pages_ - owned : PageCount(0);
  const PageCount below_static =
      static_max_ > current_ ? static_max_ - current_ : PageCount(0);
  return std::min(below_max, below_static);
}

absl::Status Domain::Drive(PageCount target, FrameClaim* claim,
                           StopCheck stop) {
  driver_.SetTarget(target);
  return WorkDriver(claim, stop);
}

absl::Status Domain::ReadTarget(StopCheck stop) {
  const bool unread = std::exchange(target_unread_, false);
  const bool woken = unread && driver_.SetTarget(target_);
  return woken || driver_overdue_ || driver_stopped_ ? WorkDriver(nullptr, stop)
                                                     : absl::OkStatus();
}

void Domain::CountBalloon() {
  driver_.SetBalloon(balloon_.low_count(), balloon_.high_count(),
                     foreign_from_balloon_.size());
}

absl::Status Domain::WorkDriver(FrameClaim* claim, StopCheck stop) {
  ++driver_wakeups_;
  driver_overdue_ = false;
  driver_stopped_ = false;
  while (true) {
    const BalloonDriver::Spare spare = {.available = free_pages_.count()};
    const BalloonDriver::Round round = driver_.NextRound(kBatchesPerRound);
    absl::Status status;
    PageCount moved;
    if (round.direction == BalloonDriver::Direction::kUp) {
      status = MoveUp(round.pages, claim, stop, &moved);
    } else if (round.direction == BalloonDriver::Direction::kDown) {
      status = MoveDown(round.pages, stop, &moved);
    }
    if (!status.ok()) {
      driver_.StopRound(round, moved);
      CountBalloon();
      driver_stopped_ = true;
      return status;
    }
    const BalloonState state = driver_.EndRound(round, moved, spare);
    CountBalloon();
    if (state != BalloonState::kDone || driver_.credit() == 0) return status;
  }
}

BalloonTimer Domain::balloon_timer() const {
  absl::ReaderMutexLock lock(&mu_);
  BalloonTimer timer = {driver_wakeups_, std::nullopt};
  // A guest's time goes on while it is paused.
  if (HasDriver() && !driver_overdue_) {
    timer.seconds = driver_stopped_ && driver_.credit() != 0
                        ? driver_.policy().delay_seconds()
                        : driver_.SecondsToWake();
  }
  return timer;
}

absl::Status Domain::WakeBalloon(const BalloonTimer& timer, StopCheck stop) {
  const ChangeLock lock(this);
  if (!HasDriver() || timer.wakeups != driver_wakeups_ ||
      !driver_.SecondsToWake().has_value()) {
    return absl::OkStatus();
  }
  if (state_ == DomainState::kRunning) return WorkDriver(nullptr, stop);
  driver_overdue_ = true;
  return absl::OkStatus();
}

BalloonDriverInfo Domain::DriverInfo() const {
  return {.current = driver_.current(),
          .target = driver_.target(),
          .low = driver_.low(),
          .high = driver_.high(),
          .batch = driver_.batch(),
          .state = driver_.policy().state(),
          .schedule_delay = driver_.policy().delay_seconds(),
          .max_schedule_delay = BalloonPolicy::kMaxDelay,
          .retry_count = driver_.policy().retry_count(),
          .max_retry_count = driver_.policy().max_retry(),
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
  balloon_.PushTaken(taken, driver_.batch());
  entering_ = PageCount(0);
  return status;
}

absl::Status Domain::MoveExtentDown(PfnExtent& pfns, StopCheck stop) {
  std::vector<MfnExtent> frames;
  while (!pfns.empty()) {
    SIMVISOR_RETURN_IF_ERROR(stop());
    frames.clear();
    const Pfn next = CollectFrames(pfns, kMaxRuns, frames);
    const PfnExtent part = ExtentBetween(pfns.first, next);
    list_->Clear(part);
    dirty_.Mark(part);
    entering_ += part.count;
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
    const PfnExtent pfns = balloon_.Pop(pages - *moved);
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
    balloon_.PutBack(ExtentBetween(filled.end(), pfns.end()));
    current_ += done;
    free_pages_.Return(filled);
    *moved += done;
    Show();
    if (done == PageCount(0)) break;  // no page for a leaf
  }
  return absl::OkStatus();
}

absl::Status Domain::SetTarget(PageCount target, StopCheck stop) {
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(CheckNotSuspended("set memory target"));
  SIMVISOR_RETURN_IF_ERROR(CheckDom0Keeps(target, [target] {
    return absl::StrFormat("memory target of %d pages", target.value());
  }));
  if (target == PageCount(0)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kMemorySizeInvalid,
        absl::StrFormat("domain %d: memory target of 0 pages; name at least "
                        "one, or destroy the domain",
                        id_.value()));
  }
  if (target > static_max_) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kStaticMaxExceeded,
        absl::StrFormat("domain %d: memory target of %d pages: "
                        "memory_dynamic_max must be less than or equal to "
                        "memory_static_max, %d pages; raise it with mem-max",
                        id_.value(), target.value(), static_max_.value()));
  }
  max_pages_ = MaxPagesFor(target);
  target_ = target;
  target_unread_ = true;
  if (state_ != DomainState::kRunning) return absl::OkStatus();
  Show();
  return ReadTarget(stop);
}

PageCount Domain::PagesAboveLeast() const {
  const PageCount least = id_ == kDom0Id ? kMinDom0Memory : PageCount(0);
  return current_ > least ? current_ - least : PageCount(0);
}

absl::Status Domain::CheckDom0Keeps(
    PageCount left, absl::FunctionRef<std::string()> operation) const {
  if (id_ != kDom0Id || left >= kMinDom0Memory) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kMemorySizeInvalid,
      absl::StrFormat("domain 0: %s: it would have %d, below the minimum "
                      "threshold for dom0, %d pages (128 MiB); leave it at "
                      "least that",
                      operation(), left.value(), kMinDom0Memory.value()));
}

absl::Status Domain::SetMaxMemory(PageCount max_memory) {
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(CheckNotSuspended("set maximum memory"));
  if (max_memory > abi_->max_domain_pages()) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kMemorySizeInvalid,
        absl::StrFormat("domain %d: maximum memory of %d pages: a domain of %s "
                        "has at most %d; ask for less",
                        id_.value(), max_memory.value(), abi_->name,
                        abi_->max_domain_pages().value()));
  }
  if (max_memory < target_) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kMaxMemBelowTarget,
        absl::StrFormat("domain %d: maximum memory of %d pages: its target is "
                        "%d; lower that with mem-set first",
                        id_.value(), max_memory.value(), target_.value()));
  }
  max_pages_ = MaxPagesFor(max_memory);
  static_max_ = max_memory;
  return absl::OkStatus();
}

}  // namespace simvisor
