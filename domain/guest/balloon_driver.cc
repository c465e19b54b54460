#include "domain/guest/balloon_driver.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace simvisor {

void BalloonDriver::Start(PageCount pages, absl::Span<const PfnExtent> room) {
  current_ = pages;
  taken_off_ = PageCount(0);
  for (const PfnExtent& region : room) {
    if (region.count >= current_) break;
    current_ -= region.count;
    taken_off_ += region.count;
  }
  target_ = current_;
}

void BalloonDriver::SetBalloon(PageCount low, PageCount high) {
  low_ = low;
  high_ = high;
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

BalloonState BalloonDriver::EndRound(const Round& round, PageCount moved) {
  switch (round.direction) {
    case Direction::kUp: {
      if (round.pages == PageCount(0)) {
        target_ = current_;
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
      low_ += moved;
      current_ -= moved;
      return policy_.Finish(moved < round.pages ? BalloonState::kAgain
                                                : BalloonState::kDone);
    case Direction::kNone:
      break;
  }
  return policy_.Finish(policy_.state());
}

std::optional<uint32_t> BalloonDriver::SecondsToWake() const {
  if (policy_.state() != BalloonState::kAgain && credit() == 0) {
    return std::nullopt;
  }
  return policy_.state() == BalloonState::kCancelled ? BalloonPolicy::kLongSleep
                                                     : policy_.delay_seconds();
}

void BalloonDriver::Encode(StateWriter& out) const {
  out.Put(taken_off_.value());
  out.Put(target_.value());
  policy_.Encode(out);
}

void BalloonDriver::Decode(StateReader& in, const Restored& restored) {
  taken_off_ = PageCount(in.Get("driver.taken_off"));
  CheckTakenOff(in, restored.room);
  target_ = PageCount(in.Get("driver.target"));
  const StateReader::Place at = in.last();
  const PageCount target = target_ + taken_off_;
  if (target > restored.most_pages) {
    in.Fail(absl::StrFormat("%d pages, with the %d taken off; at most %d",
                            target.value(), taken_off_.value(),
                            restored.most_pages.value()));
  }
  current_ = restored.pages - taken_off_;
  policy_.Decode(in);
  if (policy_.state() != BalloonState::kCancelled &&
      target != restored.target) {
    in.Fail(at,
            absl::StrFormat("the driver works towards %d pages; the domain's "
                            "target is %d",
                            target.value(), restored.target.value()));
  }
}

void BalloonDriver::CheckTakenOff(StateReader& in,
                                  absl::Span<const PfnExtent> room) const {
  PageCount sum;
  for (const PfnExtent& region : room) {
    if (sum >= taken_off_) break;
    sum += region.count;
  }
  if (sum == taken_off_) return;
  in.Fail(absl::StrFormat(
      "%d pages; the first regions of room have %d, and whole ones are taken "
      "off",
      taken_off_.value(), sum.value()));
}

}  // namespace simvisor
