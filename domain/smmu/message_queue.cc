#include "domain/smmu/message_queue.h"

#include <utility>

#include "domain/smmu/seeded_mistakes.h"

namespace simvisor {

uint64_t MessageQueue::Add(mmu::Body body) {
  if (IsSeeded(SeededMistake::kPriorityLane) &&
      std::holds_alternative<mmu::RangeBegin>(body)) {
    waiting_.push_front({++last_ev_, std::move(body)});
    return last_ev_;
  }
  waiting_.push_back({++last_ev_, std::move(body)});
  return last_ev_;
}

std::vector<mmu::Message> MessageQueue::Take(size_t most) {
  std::vector<mmu::Message> messages;
  while (!waiting_.empty() && messages.size() < most) {
    mmu::Message& next = waiting_.front();
    if (std::holds_alternative<mmu::Resumed>(next.body)) {
      messages.push_back(std::move(next));
    } else {
      if (keep_ > 0) {
        taken_.push_back(next);
      } else {
        forgotten_ev_ = next.ev;
      }
      messages.push_back(std::move(next));
    }
    waiting_.pop_front();
  }
  while (taken_.size() > keep_) DropOldest();
  return messages;
}

void MessageQueue::Confirm(uint64_t ev) {
  while (!taken_.empty() && taken_.front().ev <= ev) DropOldest();
}

bool MessageQueue::Replay(uint64_t ev) {
  const uint64_t last_taken = taken_.empty() ? forgotten_ev_ : taken_.back().ev;
  if (ev < forgotten_ev_ || ev > last_taken) return false;
  if (!waiting_.empty() &&
      std::holds_alternative<mmu::Resumed>(waiting_.front().body)) {
    waiting_.pop_front();
  }
  Confirm(ev);
  while (!taken_.empty()) {
    waiting_.push_front(std::move(taken_.back()));
    taken_.pop_back();
  }
  waiting_.push_front({ev, mmu::Resumed{}});
  return true;
}

void MessageQueue::KeepNothing() {
  keep_ = 0;
  while (!taken_.empty()) DropOldest();
}

void MessageQueue::DropOldest() {
  forgotten_ev_ = taken_.front().ev;
  taken_.pop_front();
}

}  // namespace simvisor
