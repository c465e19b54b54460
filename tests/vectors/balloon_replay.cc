#include "tests/vectors/balloon_replay.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace simvisor {
namespace {

// A number of pages; `all` if it is missing or is the text "all"; 0 if it is
// negative, which a failed hypercall may return.
PageCount PagesOr(const Json& step, const char* key, uint64_t all) {
  if (!step.contains(key) || step[key] == "all") return PageCount(all);
  const int64_t pages = step[key];
  return PageCount(pages < 0 ? 0 : static_cast<uint64_t>(pages));
}

}  // namespace

std::string StateName(BalloonState state) {
  switch (state) {
    case BalloonState::kAgain:
      return "EAGAIN";
    case BalloonState::kCancelled:
      return "ECANCELED";
    case BalloonState::kNone:
    case BalloonState::kDone:
      break;
  }
  return "DONE";
}

void BalloonReplay::AddTo(Operations& operations) {
  operations.Add("balloon", "current low? high? max_retry?", this,
                 &BalloonReplay::Balloon);
  operations.Add("target", "pages", this, &BalloonReplay::Target);
  operations.Add("wake", "granted? available? reserve?", this,
                 &BalloonReplay::Wake);
  operations.Add("balloon_list", "memory room_low? room_high?", this,
                 &BalloonReplay::BalloonListOp);
  operations.Add("balloon_to", "pages", this, &BalloonReplay::BalloonTo);
}

Json BalloonReplay::Balloon(const Json& step) {
  driver_ = CountedDriver(
      abi_, step.value("max_retry", BalloonPolicy::kDefaultMaxRetry));
  driver_.Start(PageCount(step["current"].get<uint64_t>()));
  driver_.SetBalloon(PageCount(step.value("low", uint64_t{0})),
                     PageCount(step.value("high", uint64_t{0})));
  return nullptr;
}

Json BalloonReplay::Target(const Json& step) {
  driver_.SetTarget(PageCount(step["pages"].get<uint64_t>()));
  return nullptr;
}

Json BalloonReplay::Wake(const Json& step) {
  const BalloonDriver::Round round = driver_.NextRound();
  const bool up = round.direction == BalloonDriver::Direction::kUp;
  const PageCount limit =
      PagesOr(step, up ? "granted" : "available", round.pages.value());
  // Without a reserve, any number counts as less than the reserve.
  constexpr uint64_t kAll = ~uint64_t{0};
  const BalloonDriver::Spare spare = {
      .available = PagesOr(step, "available", kAll),
      .reserve = PagesOr(step, "reserve", kAll)};
  const BalloonState state =
      driver_.EndRound(round, std::min(round.pages, limit), spare);
  return {{"state", StateName(state)},
          {"current", driver_.current().value()},
          {"target", driver_.target().value()},
          {"low", driver_.low().value()},
          {"high", driver_.high().value()},
          {"delay", driver_.policy().delay_seconds()},
          {"retry", driver_.policy().retry_count()}};
}

Json BalloonReplay::BalloonListOp(const Json& step) {
  const Pfn memory(step["memory"].get<uint64_t>());
  const PageCount room_low(step.value("room_low", uint64_t{0}));
  const PageCount room_high(step.value("room_high", uint64_t{0}));
  balloon_ = BalloonList(memory + room_low);
  balloon_.Push({memory, room_low + room_high});
  free_.emplace();
  free_->Return({Pfn(0), memory - Pfn(0)});
  return Runs();
}

Json BalloonReplay::BalloonTo(const Json& step) {
  const PageCount pages(step["pages"].get<uint64_t>());
  if (pages < free_->count()) {
    std::vector<PfnExtent> taken;
    while (free_->count() > pages) {
      taken.push_back(free_->TakeForBalloon(free_->count() - pages));
    }
    balloon_.PushTaken(taken, PageCount(abi_.balloon_batch()));
  }
  while (free_->count() < pages && balloon_.size() > PageCount(0)) {
    free_->Return(balloon_.Pop(pages - free_->count()));
  }
  return Runs();
}

Json BalloonReplay::Runs() const {
  std::vector<std::vector<uint64_t>> runs;
  int64_t step = 0;
  BalloonList rest = balloon_;
  while (rest.size() > PageCount(0)) {
    const uint64_t pfn = rest.Pop(PageCount(1)).first.value();
    const int64_t next =
        runs.empty() ? 0 : static_cast<int64_t>(pfn - runs.back()[1]);
    if ((next == 1 || next == -1) && (step == 0 || step == next)) {
      runs.back()[1] = pfn;
      step = next;
    } else {
      runs.push_back({pfn, pfn});
      step = 0;
    }
  }
  return runs;
}

}  // namespace simvisor
