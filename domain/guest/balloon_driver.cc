#include "domain/guest/balloon_driver.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace simvisor {

void BalloonDriver::Start(PageCount pages) {
  current_ = pages;
  target_ = pages;
  gave_up_target_ = false;
}

void BalloonDriver::SetBalloon(PageCount low, PageCount high, PageCount lent) {
  low_ = low;
  high_ = high;
  lent_ = lent;
}

bool BalloonDriver::SetTarget(PageCount target) {
  const int64_t before = credit();
  target_ = target;
  gave_up_target_ = false;
  const bool waits = policy_.state() == BalloonState::kAgain ||
                     policy_.state() == BalloonState::kCancelled;
  return credit() != (waits ? before : 0);
}

void BalloonDriver::Release(PageCount pages) {
  const bool counted = credit() >= 0;
  current_ -= pages;
  if (counted) {
    target_ -= pages;
  } else if (credit() > 0) {
    target_ = current_;
  }
}

BalloonDriver::Round BalloonDriver::NextRound(uint64_t batches) const {
  const PageCount most(batch_ * batches);
  if (credit() > 0) {
    return {Direction::kUp, std::min({target_ - current_, most, low_ + high_})};
  }
  if (credit() < 0) {
    return {Direction::kDown, std::min(current_ - target_, most)};
  }
  return {};
}

BalloonState BalloonDriver::EndRound(const Round& round, PageCount moved,
                                     const Spare& spare) {
  switch (round.direction) {
    case Direction::kUp: {
      if (round.pages == PageCount(0)) {
        target_ = current_ + lent_;
        gave_up_target_ = true;
        return policy_.Finish(BalloonState::kCancelled);
      }
      if (moved == PageCount(0)) return policy_.Finish(BalloonState::kAgain);
      const PageCount from_low = std::min(low_, moved);  // low before high
      low_ -= from_low;
      high_ -= moved - from_low;
      current_ += moved;
      return policy_.Finish(BalloonState::kDone);
    }
    case Direction::kDown:
      return EndDown(round, moved, spare);
    case Direction::kNone:
      break;
  }
  return policy_.Finish(policy_.state());
}

void BalloonDriver::StopRound(const Round& round, PageCount moved) {
  if (moved > PageCount(0)) EndRound({round.direction, moved}, moved);
}

BalloonState BalloonDriver::EndDown(const Round& round, PageCount moved,
                                    const Spare& spare) {
  const PageCount wanted = current_ - target_;
  const PageCount asked = std::min(round.pages, spare.available);
  low_ += moved;
  current_ -= moved;
  const bool failed = moved < asked;
  const bool cut = spare.available < wanted && spare.available < spare.reserve;
  if (!failed && !cut) return policy_.Finish(BalloonState::kDone);
  if (failed && moved >= batch()) policy_.Finish(BalloonState::kDone);
  return policy_.Finish(BalloonState::kAgain);
}

std::optional<uint32_t> BalloonDriver::SecondsToWake() const {
  if (policy_.state() != BalloonState::kAgain && credit() == 0) {
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
  current_ = restored.pages;
  target_ = PageCount(in.Get("driver.target", 0, restored.most_pages.value()));
  const StateReader::Place at = in.last();
  gave_up_target_ = in.GetFlag("driver.gave_up_target");
  CheckTarget(in, at, restored);
  policy_.Decode(in);
}

void BalloonDriver::DecodeLessRoom(StateReader& in, const Restored& restored,
                                   absl::Span<const PfnExtent> room) {
  current_ = restored.pages;
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
