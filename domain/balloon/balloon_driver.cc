#include "domain/balloon/balloon_driver.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_format.h"

namespace simvisor {

void BalloonDriver::Start(PageCount pages) {
  target_ = pages;
  gave_up_target_ = false;
}

bool BalloonDriver::SetTarget(PageCount target, PageCount current) {
  const bool waits = policy_.state() == BalloonState::kAgain ||
                     policy_.state() == BalloonState::kCancelled;
  const bool wakes = target != (waits ? target_ : current);
  target_ = target;
  gave_up_target_ = false;
  return wakes;
}

void BalloonDriver::TargetDropsBy(PageCount released, PageCount before) {
  assert(released <= before);
  target_ = target_ >= before ? target_ - released
                              : std::min(target_, before - released);
}

BalloonDriver::Round BalloonDriver::NextRound(const Pages& now,
                                              uint64_t batches) const {
  const PageCount most(batch_ * batches);
  if (target_ > now.current) {
    return {Direction::kUp,
            std::min({target_ - now.current, most, now.ballooned})};
  }
  if (target_ < now.current) {
    return {Direction::kDown, std::min(now.current - target_, most)};
  }
  return {};
}

BalloonState BalloonDriver::EndRound(const Round& round, PageCount moved,
                                     const Spare& spare, const Pages& now) {
  switch (round.direction) {
    case Direction::kUp: {
      if (round.pages == PageCount(0)) {
        target_ = now.current + now.lent;
        gave_up_target_ = true;
        return policy_.Finish(BalloonState::kCancelled);
      }
      return policy_.Finish(moved == PageCount(0) ? BalloonState::kAgain
                                                  : BalloonState::kDone);
    }
    case Direction::kDown:
      return EndDown(round, moved, spare, now.current);
    case Direction::kNone:
      break;
  }
  return policy_.Finish(policy_.state());
}

void BalloonDriver::StopRound(const Round& round, PageCount moved,
                              const Pages& now) {
  if (moved > PageCount(0)) {
    EndRound({round.direction, moved}, moved, Spare(), now);
  }
}

BalloonState BalloonDriver::EndDown(const Round& round, PageCount moved,
                                    const Spare& spare, PageCount current) {
  assert(current + moved >= target_);
  const PageCount wanted = current + moved - target_;
  const PageCount asked = std::min(round.pages, spare.available);
  const bool failed = moved < asked;
  const bool cut = spare.available < wanted && spare.available < spare.reserve;
  if (!failed && !cut) return policy_.Finish(BalloonState::kDone);
  if (failed && moved >= batch()) policy_.Finish(BalloonState::kDone);
  return policy_.Finish(BalloonState::kAgain);
}

std::optional<uint32_t> BalloonDriver::SecondsToWake(PageCount current) const {
  if (policy_.state() != BalloonState::kAgain && credit(current) == 0) {
    return std::nullopt;
  }
  return policy_.state() == BalloonState::kCancelled ? BalloonPolicy::kLongSleep
                                                     : policy_.delay_seconds();
}

void BalloonDriver::Encode(StateWriter& out) const {
  out.Put(target_.value());
  out.Put(gave_up_target_ ? 1 : 0);
  policy_.Encode(out);
}

void BalloonDriver::Decode(StateReader& in, const Restored& restored) {
  target_ = PageCount(in.Get("driver.target", 0, restored.most_pages.value()));
  const StateReader::Place at = in.last();
  gave_up_target_ = in.GetFlag("driver.gave_up_target");
  CheckTarget(in, at, restored);
  policy_.Decode(in);
}

void BalloonDriver::DecodeLessRoom(StateReader& in, const Restored& restored,
                                   absl::Span<const PfnExtent> room) {
  const PageCount taken_off(in.Get("driver.taken_off"));
  PageCount sum;
  for (const PfnExtent& region : room) {
    if (sum >= taken_off) break;
    sum += region.count;
  }
  if (sum != taken_off) {
    in.Fail(
        absl::StrFormat("%d pages; the first regions of room have %d, and "
                        "whole ones are taken off",
                        taken_off.value(), sum.value()));
  }
  target_ = PageCount(in.Get("driver.target")) + taken_off;
  const StateReader::Place at = in.last();
  if (target_ > restored.most_pages) {
    in.Fail(absl::StrFormat("%d pages, with the %d taken off; at most %d",
                            target_.value(), taken_off.value(),
                            restored.most_pages.value()));
  }
  policy_.Decode(in);
  gave_up_target_ =
      policy_.state() == BalloonState::kCancelled && target_ != restored.target;
  CheckTarget(in, at, restored);
}

void BalloonDriver::CheckTarget(StateReader& in,
                                const StateReader::Place& place,
                                const Restored& restored) const {
  if (gave_up_target_ || target_ == restored.target) return;
  in.Fail(place,
          absl::StrFormat("the driver works towards %d pages; the domain's "
                          "target is %d, and it has not given that up",
                          target_.value(), restored.target.value()));
}

}  // namespace simvisor
