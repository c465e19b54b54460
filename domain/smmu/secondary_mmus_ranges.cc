// Ranges: who is told, how they answer, and what their close sets free.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "domain/smmu/secondary_mmus.h"
#include "domain/smmu/seeded_mistakes.h"
#include "domain/smmu/subscription.h"

namespace simvisor {

RangeId SecondaryMmus::BeginRange(std::vector<PfnExtent> pfns,
                                  InvalidateReason reason, bool blockable,
                                  ChangeGate* gate, absl::Time now) {
  MmuRanges::Range range;
  range.pfns = std::move(pfns);
  range.reason = reason;
  range.blockable = blockable;
  range.gate = gate;
  Step step(&mu_, &signals_);
  return Open(std::move(range), now);
}

RangeId SecondaryMmus::BeginPage(Pfn pfn, InvalidateReason reason,
                                 ChangeGate* gate, absl::Time now) {
  MmuRanges::Range range;
  range.pfns = {{pfn, PageCount(1)}};
  range.reason = reason;
  range.page = true;
  range.gate = gate;
  Step step(&mu_, &signals_);
  return Open(std::move(range), now);
}

RangeId SecondaryMmus::Open(MmuRanges::Range opened, absl::Time now) {
  // Counters first: a fault that comes later sees the range.
  const RangeId id = ranges_.Begin(std::move(opened));
  MmuRanges::Range& range = *ranges_.Find(id);
  for (auto& [number, subscription] : subscriptions_) {
    if (subscription->hears() &&
        subscription->spec.rule == RetryRule::kInterval) {
      subscription->intervals.Invalidate(range.pfns, clock_);
    }
  }
  for (auto& [number, subscription] : subscriptions_) {
    if (subscription->ended()) continue;
    if (subscription->released) {
      // It hears no more, but its mappings stay until it lets go of all.
      if (subscription->HasMappings(range.pfns, range.reason)) {
        range.pending.insert(number);
      }
    } else if (subscription->IsConcerned(range.pfns, range.reason)) {
      Tell(*subscription, id, range, now);
    }
  }
  ranges_.OpenGateIfAnswered(id);
  return id;
}

void SecondaryMmus::Tell(Subscription& to, RangeId id, MmuRanges::Range& range,
                         absl::Time now) {
  uint64_t ev = 0;
  if (range.page) {
    ev = Send(to,
              mmu::PageInvalidate{id, range.pfns.front().first, range.reason});
  } else {
    for (size_t at = 0; at < range.pfns.size(); at += MmuLimits::kMaxExtents) {
      const auto first = range.pfns.begin() + at;
      const size_t count =
          std::min(MmuLimits::kMaxExtents, range.pfns.size() - at);
      ev = Send(to, mmu::RangeBegin{id,
                                    {first, first + count},
                                    range.reason,
                                    range.blockable,
                                    at + count < range.pfns.size()});
    }
  }
  ++to.counters.begins;
  to.owing[ev] = {id, now};
  range.told.push_back({to.id, ev});
  range.pending.insert(to.id);
}

absl::StatusOr<bool> SecondaryMmus::Ack(SubscriptionId id, uint64_t ev,
                                        absl::Time now) {
  Step step(&mu_, &signals_);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * by, Attached("acknowledgement", id));
  if (!by->owing.contains(ev)) return false;
  Acknowledge(*by, ev, now);
  return true;
}

void SecondaryMmus::Acknowledge(Subscription& by, uint64_t ev, absl::Time now) {
  const RangeId answered = by.owing.at(ev).range;
  by.NoteAnswer(ev, now);
  if (answered == Subscription::kRelease) {
    Leave(by, SubscriptionState::kGone);
    return;
  }
  // First the records, then the count: who sees no answer missing must find
  // nothing mapped.
  const MmuRanges::Range& range = *ranges_.Find(answered);
  if (!IsSeeded(SeededMistake::kRecordKeptAfterAck)) {
    by.Invalidate(range.pfns, range.reason);
  }
  ranges_.Answer(answered, by.id);
}

absl::Status SecondaryMmus::Nack(SubscriptionId id, uint64_t ev,
                                 absl::Time now) {
  constexpr absl::string_view kOperation = "refusal";
  Step step(&mu_, &signals_);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * by, Attached(kOperation, id));
  const auto owing = by->owing.find(ev);
  if (owing == by->owing.end()) return absl::OkStatus();
  const RangeId refused = owing->second.range;
  const MmuRanges::Range* range = ranges_.Find(refused);
  if (range == nullptr || range->blockable) {
    const absl::Status status = Refuse(
        kOperation, id, absl::StatusCode::kAborted, Reason::kSecondaryMmuFenced,
        absl::StrCat("message ", ev,
                     " may not be refused, so it was fenced; refuse "
                     "only begins with blockable = false"));
    FenceNow(*by, FenceCause::kProtocol, status);
    return status;
  }
  by->NoteAnswer(ev, now);
  ranges_.Refuse(refused, id);
  return absl::OkStatus();
}

absl::Status SecondaryMmus::Renew(SubscriptionId id, uint64_t nonce,
                                  absl::Time now) {
  Step step(&mu_, &signals_);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * by, Attached("renewal", id));
  const bool extended =
      by->owing.empty() || IsSeeded(SeededMistake::kRenewWhileUnacked);
  if (extended) by->RenewLease(now);
  Send(*by, mmu::Renewed{nonce, extended});
  return absl::OkStatus();
}

SecondaryMmus::Answers SecondaryMmus::AnswersTo(RangeId id) const {
  absl::MutexLock lock(&mu_);
  const MmuRanges::Range* range = ranges_.Find(id);
  if (range == nullptr) return Answers::kClosed;
  if (range->refused) return Answers::kRefused;
  const bool given =
      range->pending.empty() || IsSeeded(SeededMistake::kFreeBeforeAck);
  return given ? Answers::kGiven : Answers::kPending;
}

std::vector<std::string> SecondaryMmus::PendingOf(RangeId id) const {
  absl::MutexLock lock(&mu_);
  std::vector<std::string> names;
  if (const MmuRanges::Range* range = ranges_.Find(id)) {
    for (const SubscriptionId number : range->pending) {
      names.push_back(subscriptions_.at(number)->spec.name);
    }
  }
  return names;
}

void SecondaryMmus::EndRange(RangeId range) {
  Step step(&mu_, &signals_);
  Close(range, Closing::kEnd);
}

void SecondaryMmus::AbortRange(RangeId range) {
  Step step(&mu_, &signals_);
  Close(range, Closing::kAbort);
}

void SecondaryMmus::Close(RangeId id, Closing how) {
  const std::optional<MmuRanges::Range> range = ranges_.Close(id);
  if (!range.has_value()) return;
  for (const MmuRanges::Told& told : range->told) {
    Subscription* hearer = Find(told.id);
    if (hearer == nullptr || !hearer->hears()) continue;
    hearer->owing.erase(told.ev);
    if (IsSeeded(SeededMistake::kUnmatchedEnd) &&
        !hearer->IsConcerned(range->pfns, range->reason)) {
      continue;
    }
    if (!range->page) TellClosed(id, told, how);
  }
  if (how == Closing::kRelease && range->gate != nullptr) range->gate->Open();
  if (ranges_.active() == 0) Settle();
}

void SecondaryMmus::TellClosed(RangeId id, const MmuRanges::Told& told,
                               Closing how) {
  if (how == Closing::kRelease) return;  // `release` closes it
  const std::shared_ptr<Subscription>& hearer = subscriptions_.at(told.id);
  const bool aborted = how == Closing::kAbort;
  if (aborted) {
    ++hearer->counters.aborts;
    Send(*hearer, mmu::RangeAbort{id, ranges_.seq()});
  } else {
    ++hearer->counters.ends;
    Send(*hearer, mmu::RangeEnd{id, ranges_.seq()});
  }
  if (told.called) {
    closed_calls_.push_back({hearer, id, ranges_.seq(), aborted});
  }
}

void SecondaryMmus::Settle() {
  if (clock_.Settle()) {
    for (auto& [id, subscription] : subscriptions_) {
      for (const uint64_t req : subscription->intervals.Settle()) {
        Send(*subscription, mmu::Unwatched{req});
      }
    }
  }
  for (auto& [id, subscription] : subscriptions_) {
    for (const FaultRequest& parked : subscription->faults.TakeParked()) {
      AnswerFault(*subscription, parked);
    }
  }
}

void SecondaryMmus::Release(ReleaseReason reason, std::string target,
                            ChangeGate* gate, absl::Time now) {
  Step step(&mu_, &signals_);
  release_ = mmu::Release{reason, std::move(target)};
  while (ranges_.active() > 0) {
    Close(ranges_.open().begin()->first, Closing::kRelease);
  }
  for (auto& [id, subscription] : subscriptions_) {
    if (!subscription->hears()) continue;
    const uint64_t ev = Send(*subscription, *release_);
    subscription->owing[ev] = {Subscription::kRelease, now};
    subscription->released = true;
  }
  if (gate != nullptr) release_gates_.push_back(gate);
  OpenReleaseGates();
}

void SecondaryMmus::OpenReleaseGates() {
  if (live_.load(std::memory_order_relaxed) > 0) return;
  for (ChangeGate* gate : std::exchange(release_gates_, {})) gate->Open();
}

}  // namespace simvisor
