// One guest's balloon driver as p2m.md B2 describes it, page by page.
//
// A second implementation, written for tests: one batch per round, every page
// by itself, a list with a head.  It never asks the code under test; the test
// tells it which pages a guest can give.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_DOMAIN_BALLOON_BALLOON_MODEL_H_
#define SIMVISOR_TESTS_DOMAIN_BALLOON_BALLOON_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <vector>

#include "tests/support/balloon_guest.h"

namespace simvisor {

class BalloonModel {
 public:
  struct Setup {
    uint64_t batch = 0;            // pages of one hypercall
    uint64_t low_end = 0;          // pfns from here on are high memory
    uint32_t max_retry = 0;        // 0: any number
    uint64_t memory = 0;           // pages at boot
    std::set<uint64_t> free = {};  // those that it can give
    std::set<uint64_t> room = {};
  };

  explicit BalloonModel(const Setup& setup)
      : batch_(setup.batch),
        low_end_(setup.low_end),
        max_retry_(setup.max_retry),
        free_(setup.free),
        current_(setup.memory),
        target_(setup.memory) {
    for (const uint64_t pfn : setup.room) Append(pfn);
  }

  void SetHostFree(uint64_t frames) { host_free_ = frames; }
  uint64_t host_free() const { return host_free_; }

  void SetTarget(uint64_t pages) {
    written_ = pages;
    if (!paused_) ReadTarget();
  }
  void RunOutTimer() {
    if (paused_) {
      overdue_ = true;
    } else {
      Work();
    }
  }
  void Pause() { paused_ = true; }
  void Unpause() {
    paused_ = false;
    ReadTarget();
    if (overdue_) Work();
  }
  bool paused() const { return paused_; }

  // Lends out the next `count` pages, or as many as low memory has; returns
  // them.
  std::vector<uint64_t> Lend(uint64_t count) {
    std::vector<uint64_t> pfns;
    while (pfns.size() < count && !list_.empty() && !IsHigh(list_.front())) {
      pfns.push_back(Retrieve());
    }
    lent_ += pfns.size();
    return pfns;
  }
  void TakeBack(const std::vector<uint64_t>& pfns) {
    for (const uint64_t pfn : pfns) Append(pfn);
    lent_ -= pfns.size();
  }

  BalloonFigures Figures() const {
    BalloonFigures figures = {.state = state_,
                              .current = current_,
                              .target = target_,
                              .delay = delay_,
                              .retry = retry_};
    for (const uint64_t pfn : list_) {
      ++(IsHigh(pfn) ? figures.high : figures.low);
    }
    // A driver whose sleep has run out does not sleep.
    if (state_ == BalloonState::kAgain && !overdue_) figures.sleep = delay_;
    return figures;
  }
  std::set<uint64_t> Missing() const { return {list_.begin(), list_.end()}; }

 private:
  static constexpr uint32_t kMostDelay = 32;

  int64_t Credit() const {
    return static_cast<int64_t>(target_) - static_cast<int64_t>(current_);
  }
  bool IsHigh(uint64_t pfn) const { return pfn >= low_end_; }

  void Append(uint64_t pfn) {
    if (IsHigh(pfn)) {
      list_.push_back(pfn);
    } else {
      list_.push_front(pfn);
    }
  }
  uint64_t Retrieve() {
    const uint64_t pfn = list_.front();
    list_.pop_front();
    return pfn;
  }

  // A sleep ends early only when the credit changes; after a completed round
  // the credit was 0.
  void ReadTarget() {
    if (!written_.has_value()) return;
    target_ = *written_;
    written_.reset();
    if (Credit() != (state_ == BalloonState::kDone ? 0 : slept_at_)) Work();
  }

  // Works round after round until it sleeps.
  void Work() {
    overdue_ = false;
    do {
      Schedule(Round());
    } while (state_ == BalloonState::kDone && Credit() != 0);
    slept_at_ = Credit();
  }

  BalloonState Round() {
    if (Credit() > 0) return list_.empty() ? GiveUp() : Up();
    return Credit() < 0 ? Down() : state_;
  }

  BalloonState GiveUp() {
    target_ = current_ + lent_;
    return BalloonState::kCancelled;
  }

  BalloonState Up() {
    const uint64_t wanted = std::min<uint64_t>(
        {static_cast<uint64_t>(Credit()), batch_, list_.size()});
    const uint64_t got = std::min(wanted, host_free_);
    if (got == 0) return BalloonState::kAgain;
    for (uint64_t i = 0; i < got; ++i) free_.insert(Retrieve());
    current_ += got;
    host_free_ -= got;
    return BalloonState::kDone;
  }

  // The guest has no reserve: a round is cut short only when there are no pages
  // left.
  BalloonState Down() {
    const uint64_t wanted = static_cast<uint64_t>(-Credit());
    const bool none = free_.empty();
    std::vector<uint64_t> pages;
    while (pages.size() < std::min(wanted, batch_) && !free_.empty()) {
      pages.push_back(*free_.rbegin());  // the allocator's highest
      free_.erase(pages.back());
    }
    // The kernel puts them at the head of a list.
    std::reverse(pages.begin(), pages.end());
    for (const uint64_t pfn : pages) Append(pfn);
    current_ -= pages.size();
    host_free_ += pages.size();
    return none ? BalloonState::kAgain : BalloonState::kDone;
  }

  void Schedule(BalloonState outcome) {
    state_ = outcome;
    if (outcome == BalloonState::kCancelled) return;
    if (outcome == BalloonState::kAgain) {
      ++retry_;
      if (max_retry_ == 0 || retry_ <= max_retry_) {
        delay_ = std::min(2 * delay_, kMostDelay);
        return;
      }
      state_ = BalloonState::kCancelled;
    }
    delay_ = 1;
    retry_ = 1;
  }

  const uint64_t batch_;
  const uint64_t low_end_;
  const uint32_t max_retry_;

  std::set<uint64_t> free_;
  std::deque<uint64_t> list_;  // what comes back next is in front
  uint64_t lent_ = 0;
  uint64_t host_free_ = 0;
  uint64_t current_;
  uint64_t target_;
  std::optional<uint64_t> written_;  // by the toolstack, not read yet
  BalloonState state_ = BalloonState::kNone;
  uint32_t delay_ = 1;
  uint32_t retry_ = 1;
  int64_t slept_at_ = 0;  // the credit
  bool paused_ = false;
  bool overdue_ = false;  // its sleep ran out while it was paused
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_BALLOON_BALLOON_MODEL_H_
