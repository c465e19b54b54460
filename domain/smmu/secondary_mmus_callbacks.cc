// Calls to objects in this process.

#include <utility>

#include "domain/smmu/secondary_mmus.h"
#include "domain/smmu/subscription.h"

namespace simvisor {

std::optional<SecondaryMmus::RangeCall> SecondaryMmus::NextCall(RangeId id) {
  absl::MutexLock lock(&mu_);
  MmuRanges::Range* range = ranges_.Find(id);
  if (range == nullptr) return std::nullopt;
  for (MmuRanges::Told& told : range->told) {
    if (told.called || !range->pending.contains(told.id)) continue;
    const std::shared_ptr<Subscription>& called = subscriptions_.at(told.id);
    if (called->object == nullptr) continue;
    told.called = true;
    ++called->running;
    return RangeCall{called,
                     told.ev,
                     range->page,
                     {id, range->pfns, range->reason, range->blockable}};
  }
  return std::nullopt;
}

void SecondaryMmus::CallBack(RangeId range) {
  CallBackClosed();
  while (const auto call = NextCall(range)) {
    if (call->page) {
      call->called->object->Page(
          {range, call->begin.pfns.front().first, call->begin.reason});
    } else {
      call->called->object->Begin(call->begin);
    }
    Answered(*call->called, call->ev);
  }
}

void SecondaryMmus::Answered(Subscription& called, uint64_t ev) {
  Step step(&mu_, &signals_);
  const auto owing = called.owing.find(ev);
  // There is no clock here: the time of its answers is not counted.
  if (owing != called.owing.end()) {
    Acknowledge(called, ev, owing->second.since);
  }
  EndCallBack(called);
}

void SecondaryMmus::CallBackClosed() {
  std::vector<ClosedCall> calls;
  {
    absl::MutexLock lock(&mu_);
    for (ClosedCall& call : std::exchange(closed_calls_, {})) {
      if (!call.called->hears()) continue;
      ++call.called->running;
      calls.push_back(std::move(call));
    }
  }
  for (const ClosedCall& call : calls) {
    call.called->object->End(call.range, call.seq, call.aborted);
    Step step(&mu_, &signals_);
    EndCallBack(*call.called);
  }
}

void SecondaryMmus::CallBackRelease() {
  std::vector<std::pair<std::shared_ptr<Subscription>, uint64_t>> calls;
  mmu::Release message;
  {
    absl::MutexLock lock(&mu_);
    if (!release_.has_value()) return;
    message = *release_;
    for (auto& [id, called] : subscriptions_) {
      if (called->object == nullptr || called->ended()) continue;
      if (std::exchange(called->release_called, true)) continue;
      ++called->running;
      calls.emplace_back(called, called->owing.begin()->first);
    }
  }
  for (const auto& [called, ev] : calls) {
    called->object->Release(message);
    Answered(*called, ev);
  }
}

}  // namespace simvisor
