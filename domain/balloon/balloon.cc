#include "domain/balloon/balloon.h"

#include <utility>

namespace simvisor {
namespace {

// A batch that is granted in full leaves no trace, so many are one round.
constexpr uint64_t kBatchesPerRound = uint64_t{1} << 32;

}  // namespace

bool Balloon::ReadTarget(PageCount target, PageCount current) {
  const bool unread = std::exchange(target_unread_, false);
  const bool woken = unread && driver_.SetTarget(target, current);
  return woken || overdue_ || stopped_;
}

void Balloon::BeginWakeUp() {
  ++wakeups_;
  overdue_ = false;
  stopped_ = false;
}

BalloonDriver::Round Balloon::NextRound(PageCount current) const {
  return driver_.NextRound(Now(current), kBatchesPerRound);
}

void Balloon::StopRound(const BalloonDriver::Round& round, PageCount moved,
                        PageCount current) {
  driver_.StopRound(round, moved, Now(current));
  stopped_ = true;
}

void Balloon::Enter(absl::Span<const PfnExtent> taken) {
  list_.PushTaken(taken, driver_.batch());
  entering_ = PageCount(0);
}

BalloonTimer Balloon::timer(PageCount current) const {
  BalloonTimer timer = {wakeups_, std::nullopt};
  if (overdue_) return timer;
  timer.seconds = stopped_ && driver_.credit(current) != 0
                      ? driver_.policy().delay_seconds()
                      : driver_.SecondsToWake(current);
  return timer;
}

bool Balloon::IsDue(const BalloonTimer& timer, PageCount current) const {
  return timer.wakeups == wakeups_ &&
         driver_.SecondsToWake(current).has_value();
}

void Balloon::Lend(const PfnSet& pfns) {
  const PfnSet lent = list_.Remove(pfns);
  for (const auto& [first, end] : lent.extents()) {
    lent_.Add(ExtentBetween(first, end));
  }
}

void Balloon::TakeBack(Pfn pfn) {
  if (!lent_.Contains(pfn)) return;
  const PfnExtent page = {pfn, PageCount(1)};
  lent_.Remove(page);
  list_.Push(page);
}

void Balloon::Encode(StateWriter& out) const {
  list_.Encode(out);
  driver_.Encode(out);
}

void Balloon::Decode(StateReader& in, Pfn end,
                     const BalloonDriver::Restored& restored,
                     std::optional<absl::Span<const PfnExtent>> less_room,
                     BalloonList::MayHold may_hold) {
  const bool batches = !less_room.has_value();
  list_.Decode(in, end, batches ? std::optional(driver_.batch()) : std::nullopt,
               may_hold);
  if (batches) {
    driver_.Decode(in, restored);
  } else {
    driver_.DecodeLessRoom(in, restored, *less_room);
  }
}

}  // namespace simvisor
