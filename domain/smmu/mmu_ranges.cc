// Ranges: begins, answers, ends, and the release of everything.

#include <algorithm>
#include <cassert>

#include "base/status_macros.h"
#include "domain/smmu/mmu_critical.h"
#include "domain/smmu/secondary_mmus.h"

namespace simvisor {

void SecondaryMmus::TellBegin(RangeId id, OpenRange& range,
                              Subscription& subscription, absl::Time now) {
  uint64_t ev = 0;
  if (range.page) {
    ev = Tell(subscription,
              mmu::PageInvalidate{id, range.pfns.front().first, range.reason});
  } else {
    constexpr size_t kMost = MmuLimits::kMaxExtents;
    for (size_t from = 0; from < range.pfns.size(); from += kMost) {
      const auto part = absl::MakeConstSpan(range.pfns).subspan(from, kMost);
      ev = Tell(subscription,
                mmu::RangeBegin{.range = id,
                                .pfns = {part.begin(), part.end()},
                                .reason = range.reason,
                                .blockable = range.blockable,
                                .more = from + kMost < range.pfns.size()});
    }
  }
  subscription.owed[ev] = {.range = id, .since = now};
  ++subscription.figures.begins;
  range.told.insert(subscription.id);
  range.pending.insert(subscription.id);
}

RangeId SecondaryMmus::Begin(OpenRange opened, absl::Time now) {
  RangeId id{};
  OpenRange& range = ranges_.Open(id);
  range = std::move(opened);
  const bool hits = std::any_of(
      subscriptions_.begin(), subscriptions_.end(), [&](const auto& entry) {
        return entry.second->stays() &&
               entry.second->spec.rule == RetryRule::kInterval &&
               entry.second->Watches(range.pfns);
      });
  const uint64_t seq = hits ? ranges_.HitInterval() : 0;
  for (const auto& [number, subscription] : subscriptions_) {
    if (!subscription->stays()) continue;
    if (hits && subscription->spec.rule == RetryRule::kInterval) {
      subscription->intervals.Hit(range.pfns, seq);
    }
    if (subscription->IsConcerned(range.pfns, range.reason)) {
      TellBegin(id, range, *subscription, now);
    }
  }
  if (range.pending.empty()) range.OpenGate();
  return id;
}

RangeId SecondaryMmus::BeginRange(std::vector<PfnExtent> pfns,
                                  InvalidateReason reason, bool blockable,
                                  ChangeGate* gate, absl::Time now) {
  assert(!pfns.empty());
  const Critical critical(this);
  return Begin({.pfns = std::move(pfns),
                .reason = reason,
                .blockable = blockable,
                .gate = gate},
               now);
}

RangeId SecondaryMmus::BeginPage(Pfn pfn, InvalidateReason reason,
                                 ChangeGate* gate, absl::Time now) {
  const Critical critical(this);
  return Begin({.pfns = {{pfn, PageCount(1)}},
                .reason = reason,
                .page = true,
                .gate = gate},
               now);
}

// --- Answers -----------------------------------------------------------------

void SecondaryMmus::Invalidate(const OpenRange& range,
                               Subscription& subscription) {
  for (const PfnExtent& pfns : range.pfns) {
    subscription.figures.invalidated +=
        range.reason == InvalidateReason::kProtect
            ? subscription.mapped.MakeReadOnly(pfns)
            : subscription.mapped.Remove(pfns);
  }
}

void SecondaryMmus::AnswerRange(RangeId id, Subscription& subscription) {
  OpenRange* const range = ranges_.Find(id);
  if (range == nullptr || range->pending.erase(subscription.id) == 0) return;
  if (range->pending.empty()) range->OpenGate();
}

void SecondaryMmus::AnswerRelease(SubscriptionId id) {
  if (releasing_.erase(id) == 0 || !releasing_.empty()) return;
  if (release_gate_ != nullptr) release_gate_->Open();
  release_gate_ = nullptr;
}

absl::StatusOr<bool> SecondaryMmus::Ack(SubscriptionId id, uint64_t ev,
                                        absl::Time now) {
  const Critical critical(this);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * found, FindLive(id));
  const auto at = found->owed.find(ev);
  if (at == found->owed.end() ||
      at->second.kind == Subscription::Owed::Kind::kYoung) {
    return false;
  }
  const Subscription::Owed owed = at->second;
  found->owed.erase(at);
  found->figures.max_answer =
      std::max(found->figures.max_answer, now - owed.since);
  if (owed.kind == Subscription::Owed::Kind::kRelease) {
    found->state = SubscriptionState::kGone;
    found->over = true;
    Clear(*found, /*counts_as_young=*/false);
    return true;
  }
  if (const OpenRange* const range = ranges_.Find(owed.range);
      range != nullptr) {
    Invalidate(*range, *found);
  }
  AnswerRange(owed.range, *found);
  if (!found->owes_answers() && found->object == nullptr) {
    found->lease_until = std::max(found->lease_until, now + found->spec.lease);
  }
  return true;
}

absl::Status SecondaryMmus::Nack(SubscriptionId id, uint64_t ev,
                                 absl::Time now) {
  const Critical critical(this);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * found, FindLive(id));
  const auto at = found->owed.find(ev);
  if (at == found->owed.end()) return absl::OkStatus();
  const Subscription::Owed owed = at->second;
  OpenRange* const range = owed.kind == Subscription::Owed::Kind::kRange
                               ? ranges_.Find(owed.range)
                               : nullptr;
  if (range == nullptr || range->blockable) {
    return BreaksProtocol(*found,
                          "a nack, but only a begin that is not blockable may "
                          "be refused");
  }
  found->owed.erase(at);
  found->figures.max_answer =
      std::max(found->figures.max_answer, now - owed.since);
  range->pending.erase(id);
  range->refused = true;
  range->OpenGate();
  return absl::OkStatus();
}

SecondaryMmus::Answers SecondaryMmus::AnswersTo(RangeId range) const {
  absl::MutexLock lock(&mu_);
  const OpenRange* const found = ranges_.Find(range);
  if (found == nullptr) return Answers::kClosed;
  if (found->refused) return Answers::kRefused;
  return found->pending.empty() ? Answers::kGiven : Answers::kPending;
}

std::vector<std::string> SecondaryMmus::PendingOf(RangeId range) const {
  absl::MutexLock lock(&mu_);
  std::vector<std::string> names;
  const OpenRange* const found = ranges_.Find(range);
  if (found == nullptr) return names;
  for (const SubscriptionId id : found->pending) {
    if (const Subscription* const subscription = Find(id);
        subscription != nullptr) {
      names.push_back(subscription->spec.name);
    }
  }
  return names;
}

void SecondaryMmus::CallBack(RangeId range) {
  std::vector<SubscriptionId> objects;
  mmu::RangeBegin begin{
      .range = range, .pfns = {}, .reason = {}, .blockable = true};
  bool page = false;
  {
    absl::MutexLock lock(&mu_);
    const OpenRange* const found = ranges_.Find(range);
    if (found == nullptr) return;
    page = found->page;
    begin.pfns = found->pfns;
    begin.reason = found->reason;
    begin.blockable = found->blockable;
    for (const SubscriptionId id : found->pending) {
      if (Find(id)->object == nullptr) continue;
      ++Find(id)->running;
      objects.push_back(id);
    }
  }
  for (const SubscriptionId id : objects) {
    SecondaryMmu* object = nullptr;
    {
      absl::MutexLock lock(&mu_);
      object = Find(id)->object;
    }
    if (page) {
      object->Page({range, begin.pfns.front().first, begin.reason});
    } else {
      object->Begin(begin);
    }
    const Critical critical(this);
    Subscription& subscription = *Find(id);
    --subscription.running;
    EraseIf(subscription.owed, [range](const auto& owed) {
      return owed.second.kind == Subscription::Owed::Kind::kRange &&
             owed.second.range == range;
    });
    const OpenRange* const open = ranges_.Find(range);
    if (open != nullptr && subscription.stays()) {
      Invalidate(*open, subscription);
    }
    AnswerRange(range, subscription);
  }
}

// --- Closing -----------------------------------------------------------------

void SecondaryMmus::Settle() {
  if (ranges_.active() > 0) return;
  if (ranges_.interval_hit()) {
    ranges_.SettleIntervals();
    for (const auto& [id, subscription] : subscriptions_) {
      if (!subscription->stays()) continue;
      for (const uint64_t req : subscription->intervals.Settle()) {
        Tell(*subscription, mmu::Unwatched{req});
      }
    }
  }
  const auto parked = std::exchange(parked_, {});
  for (const auto& [id, req] : parked) {
    Subscription* const subscription = Find(id);
    if (subscription == nullptr) continue;
    const auto at = subscription->parked.find(req);
    if (at == subscription->parked.end()) continue;
    const FaultRequest fault = at->second.fault;
    subscription->parked.erase(at);
    Judge(*subscription, fault);
  }
}

void SecondaryMmus::CloseRange(RangeId id, bool aborted) {
  const Critical critical(this);
  OpenRange* const range = ranges_.Find(id);
  if (range == nullptr) return;
  const auto told = std::move(range->told);
  const bool page = range->page;
  ranges_.Close(id);
  for (const SubscriptionId number : told) {
    Subscription* const subscription = Find(number);
    if (subscription == nullptr || !subscription->stays()) continue;
    // An answer that is still missing is not needed any more.
    EraseIf(subscription->owed, [id](const auto& owed) {
      return owed.second.kind == Subscription::Owed::Kind::kRange &&
             owed.second.range == id;
    });
    if (page) continue;
    if (aborted) {
      ++subscription->figures.aborts;
      Tell(*subscription, mmu::RangeAbort{id, ranges_.seq()});
    } else {
      ++subscription->figures.ends;
      Tell(*subscription, mmu::RangeEnd{id, ranges_.seq()});
    }
  }
  Settle();
}

void SecondaryMmus::EndRange(RangeId range) { CloseRange(range, false); }

void SecondaryMmus::AbortRange(RangeId range) { CloseRange(range, true); }

// --- Release -----------------------------------------------------------------

void SecondaryMmus::Release(ReleaseReason reason, std::string target,
                            ChangeGate* gate, absl::Time now) {
  const Critical critical(this);
  released_ = reason;
  while (!ranges_.ranges().empty()) {
    const auto at = ranges_.ranges().begin();
    at->second.OpenGate();
    ranges_.Close(at->first);
  }
  if (ranges_.interval_hit()) ranges_.SettleIntervals();
  parked_.clear();
  releasing_.clear();
  for (const auto& [id, subscription] : subscriptions_) {
    if (!subscription->stays()) continue;
    const auto parked = std::exchange(subscription->parked, {});
    for (const auto& [req, request] : parked) {
      Tell(*subscription, mmu::FaultError{req, Dying(*subscription)});
    }
    EraseIf(subscription->owed, [](const auto& owed) {
      return owed.second.kind != Subscription::Owed::Kind::kYoung;
    });
    const uint64_t ev = Tell(*subscription, mmu::Release{reason, target});
    subscription->owed[ev] = {.kind = Subscription::Owed::Kind::kRelease,
                              .since = now};
    releasing_.insert(id);
  }
  release_gate_ = gate;
  if (!releasing_.empty() || gate == nullptr) return;
  release_gate_ = nullptr;
  gate->Open();
}

void SecondaryMmus::CallBackRelease() {
  std::vector<std::pair<SubscriptionId, SecondaryMmu*>> objects;
  mmu::Release release{};
  {
    absl::MutexLock lock(&mu_);
    if (!released_.has_value()) return;
    release.reason = *released_;
    for (const SubscriptionId id : releasing_) {
      Subscription& subscription = *Find(id);
      if (subscription.object == nullptr) continue;
      ++subscription.running;
      objects.emplace_back(id, subscription.object);
    }
  }
  for (const auto& [id, object] : objects) {
    object->Release(release);
    const Critical critical(this);
    Subscription& subscription = *Find(id);
    --subscription.running;
    if (!subscription.stays()) continue;
    subscription.state = SubscriptionState::kGone;
    subscription.over = true;
    Clear(subscription, /*counts_as_young=*/false);
  }
}

}  // namespace simvisor
