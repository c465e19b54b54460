// Subscriptions: how they come, stay and go.

#include "domain/smmu/secondary_mmus.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/smmu/mmu_critical.h"

namespace simvisor {
namespace {

absl::string_view Why(FenceCause cause) {
  switch (cause) {
    case FenceCause::kLease:
      return "its lease ended";
    case FenceCause::kStream:
      return "its stream broke, and it is not resumable";
    case FenceCause::kProtocol:
      return "it broke the protocol";
    case FenceCause::kOperator:
      break;
  }
  return "an operator fenced it";
}

}  // namespace

SecondaryMmus::SecondaryMmus(const DomainIdentity& domain,
                             const PfnResolver& words)
    : domain_(domain), words_(words) {}

SecondaryMmus::~SecondaryMmus() = default;

// --- Errors ------------------------------------------------------------------

absl::Status SecondaryMmus::Refuse(const Subscription& subscription,
                                   absl::StatusCode code, Reason reason,
                                   absl::string_view text) const {
  const Context context(domain_, "secondary MMU");
  return context.Refuse(code, reason,
                        absl::StrFormat("\"%s\" (%d)", subscription.spec.name,
                                        static_cast<uint64_t>(subscription.id)),
                        text);
}

absl::Status SecondaryMmus::Fenced(const Subscription& subscription) const {
  return Refuse(subscription, absl::StatusCode::kAborted,
                Reason::kSecondaryMmuFenced,
                "it is fenced, and all its mappings are void; drop them, then "
                "subscribe again");
}

absl::Status SecondaryMmus::Dying(const Subscription& subscription) const {
  return Refuse(subscription, absl::StatusCode::kFailedPrecondition,
                Reason::kDomainDying,
                "the domain is being destroyed; acknowledge the release");
}

absl::Status SecondaryMmus::NotWatched(const Subscription& subscription,
                                       Pfn pfn) const {
  return Refuse(subscription, absl::StatusCode::kOutOfRange,
                Reason::kPfnNotWatched,
                absl::StrFormat("pfn 0x%x is in none of its intervals; watch "
                                "one around it first",
                                pfn.value()));
}

Subscription* SecondaryMmus::Find(SubscriptionId id) const {
  const auto at = subscriptions_.find(id);
  return at == subscriptions_.end() ? nullptr : at->second.get();
}

absl::StatusOr<Subscription*> SecondaryMmus::FindLive(SubscriptionId id) const {
  Subscription* const found = Find(id);
  if (found != nullptr && found->attached()) return found;
  if (found != nullptr && found->state == SubscriptionState::kFenced) {
    return Fenced(*found);
  }
  const Context context(domain_, "secondary MMU");
  return context.Refuse(absl::StatusCode::kFailedPrecondition,
                        Reason::kSecondaryMmuNotAttached,
                        absl::StrCat(static_cast<uint64_t>(id)),
                        "the subscription is not attached; subscribe first");
}

// --- Coming ------------------------------------------------------------------

uint64_t SecondaryMmus::Tell(Subscription& subscription, mmu::Body body) {
  if (subscription.signal != nullptr &&
      (signals_.empty() || signals_.back() != subscription.signal)) {
    signals_.push_back(subscription.signal);
  }
  return subscription.Tell(std::move(body));
}

absl::StatusOr<SubscriptionId> SecondaryMmus::Insert(
    const Context& context, MmuSpec spec, MmuQuota::Place place, Holder holder,
    uint64_t epoch, absl::Time now) {
  const Critical critical(this);
  if (released_.has_value()) {
    return context.Refuse(absl::StatusCode::kCancelled, Reason::kCancelled, "",
                          "the daemon is stopping");
  }
  if (live_.load(std::memory_order_relaxed) >= MmuLimits::kPerDomain) {
    return context.Refuse(
        absl::StatusCode::kResourceExhausted, Reason::kSecondaryMmusExhausted,
        "",
        absl::StrFormat("it has %d subscriptions, the most there may be; end "
                        "one first",
                        MmuLimits::kPerDomain),
        {{fact::kLimit, MmuLimits::kPerDomain},
         {fact::kUnit, "subscriptions"}});
  }
  assert(ranges_.active() == 0);
  auto made = std::make_unique<Subscription>();
  Subscription& subscription = *made;
  subscription.id = place.id();
  subscription.place = std::move(place);
  subscription.spec = std::move(spec);
  subscription.token = std::move(holder.token);
  subscription.signal = std::move(holder.signal);
  subscription.object = holder.object;
  subscription.lease_until = subscription.object != nullptr
                                 ? absl::InfiniteFuture()
                                 : now + subscription.spec.lease;
  const uint64_t idle = ranges_.interval_seq() - 1;
  if (subscription.spec.intervals.empty()) {
    subscription.intervals.Add(kEveryPfn, idle, /*adding=*/false);
  }
  for (const PfnExtent& pfns : subscription.spec.intervals) {
    subscription.intervals.Add(pfns, idle, /*adding=*/false);
  }
  subscriptions_[subscription.id] = std::move(made);
  live_.fetch_add(1, std::memory_order_relaxed);
  Tell(subscription, mmu::Registered{subscription.id, subscription.token, epoch,
                                     ranges_.seq(), subscription.spec.lease});
  return subscription.id;
}

// --- Going -------------------------------------------------------------------

void SecondaryMmus::VoidRequests(Subscription& subscription) {
  subscription.resolved.clear();
  subscription.parked.clear();
  std::erase_if(parked_, [&](const auto& parked) {
    return parked.first == subscription.id;
  });
}

void SecondaryMmus::Clear(Subscription& subscription, bool counts_as_young) {
  for (auto at = questions_.begin(); at != questions_.end(); ++at) {
    Question& question = at->second;
    if (!question.pending.contains(subscription.id)) continue;
    if (counts_as_young) {
      ++question.answer.silent;
      subscription.mapped.ForEachIn(question.pfns, [&](const MappingRun& run) {
        question.answer.young.Add({run.pfn, run.count});
      });
    }
    AnswerQuestion(at->first, subscription.id);
  }
  subscription.mapped.Clear();
  VoidRequests(subscription);
  subscription.owed.clear();
  for (auto& [id, range] : ranges_.ranges()) {
    range.told.erase(subscription.id);
    AnswerRange(id, subscription);
  }
  AnswerRelease(subscription.id);
  live_.fetch_sub(1, std::memory_order_relaxed);
  subscription.place = MmuQuota::Place();
}

void SecondaryMmus::FenceNow(Subscription& subscription, FenceCause cause) {
  if (!subscription.stays()) return;
  ++fences_;
  subscription.state = SubscriptionState::kFenced;
  Clear(subscription, /*counts_as_young=*/true);
  const absl::Status status = Refuse(
      subscription, absl::StatusCode::kAborted, Reason::kSecondaryMmuFenced,
      absl::StrCat("it was fenced, because ", Why(cause),
                   "; its mappings are void: drop them, then subscribe "
                   "again"));
  Tell(subscription, mmu::Fenced{cause, status});
  subscription.over = true;
}

absl::Status SecondaryMmus::BreaksProtocol(Subscription& subscription,
                                           absl::string_view what) {
  FenceNow(subscription, FenceCause::kProtocol);
  return Refuse(subscription, absl::StatusCode::kFailedPrecondition,
                Reason::kSecondaryMmuProtocol,
                absl::StrCat(what, "; it is fenced"));
}

bool SecondaryMmus::Fence(SubscriptionId id, FenceCause cause) {
  const Critical critical(this);
  Subscription* const found = Find(id);
  if (found == nullptr || !found->stays()) return false;
  FenceNow(*found, cause);
  return true;
}

absl::Time SecondaryMmus::Expire(absl::Time now) {
  const Critical critical(this);
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [id, subscription] : subscriptions_) {
    if (!subscription->stays()) continue;
    if (subscription->lease_until <= now) {
      FenceNow(*subscription, FenceCause::kLease);
    } else {
      next = std::min(next, subscription->lease_until);
    }
  }
  return next;
}

void SecondaryMmus::Leave(SubscriptionId id, bool wait) {
  const Critical critical(this);
  Subscription* const found = Find(id);
  if (found == nullptr) return;
  if (found->stays()) {
    found->state = SubscriptionState::kGone;
    Clear(*found, /*counts_as_young=*/false);
    if (found->running == 0 || !wait) {
      Tell(*found, mmu::Unregistered());
      found->over = true;
      return;
    }
  }
  if (!wait) return;
  mu_.Await(absl::Condition(
      +[](uint32_t* running) { return *running == 0; }, &found->running));
  // Another call may have waited as well.
  if (found->over) return;
  Tell(*found, mmu::Unregistered());
  found->over = true;
}

void SecondaryMmus::Forget(SubscriptionId id) {
  const Critical critical(this);
  Subscription* const found = Find(id);
  if (found == nullptr || found->stays()) return;
  mu_.Await(absl::Condition(
      +[](uint32_t* running) { return *running == 0; }, &found->running));
  subscriptions_.erase(id);
}

void SecondaryMmus::Detach(SubscriptionId id, absl::Time now) {
  const Critical critical(this);
  Subscription* const found = Find(id);
  if (found == nullptr || !found->attached()) return;
  if (!found->spec.resumable || found->lease_until <= now) {
    return FenceNow(*found, FenceCause::kStream);
  }
  found->state = SubscriptionState::kDetached;
  found->signal = nullptr;
  VoidRequests(*found);
}

absl::Status SecondaryMmus::Reattach(const Context& context, SubscriptionId id,
                                     absl::string_view token, uint64_t last_ev,
                                     std::shared_ptr<MmuSignal> signal,
                                     absl::Time now) {
  const Critical critical(this);
  Subscription* const found = Find(id);
  if (found == nullptr || found->token != token) {
    return context.Refuse(
        absl::StatusCode::kNotFound, Reason::kSecondaryMmuNotFound,
        absl::StrFormat("subscription %d", static_cast<uint64_t>(id)),
        "there is none with this number and token; subscribe again");
  }
  if (found->stays() && found->lease_until <= now) {
    FenceNow(*found, FenceCause::kLease);
  }
  if (found->state == SubscriptionState::kFenced) return Fenced(*found);
  if (found->state != SubscriptionState::kDetached) {
    return Refuse(*found, absl::StatusCode::kFailedPrecondition,
                  Reason::kSecondaryMmuProtocol,
                  "it is not detached; end its other stream first");
  }
  if (!found->RewindTo(last_ev)) {
    return Refuse(
        *found, absl::StatusCode::kInvalidArgument, Reason::kArgumentMalformed,
        absl::StrFormat("last_ev is %d; it has been sent %d messages, "
                        "and the last %d of them are kept",
                        last_ev, found->last_ev, found->messages.size()));
  }
  found->state = SubscriptionState::kLive;
  found->signal = std::move(signal);
  found->resumed = true;
  if (found->signal != nullptr) signals_.push_back(found->signal);
  return absl::OkStatus();
}

// --- Messages ----------------------------------------------------------------

std::vector<mmu::Message> SecondaryMmus::TakeMessages(SubscriptionId id,
                                                      size_t most, bool* over) {
  const Critical critical(this);
  Subscription* const found = Find(id);
  *over = true;
  if (found == nullptr) return {};
  std::vector<mmu::Message> taken = found->Take(most);
  *over = found->over && found->next == found->messages.size();
  return taken;
}

absl::Status SecondaryMmus::Renew(SubscriptionId id, uint64_t nonce,
                                  absl::Time now) {
  const Critical critical(this);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * found, FindLive(id));
  const bool extended = !found->owes_answers();
  if (extended) {
    found->lease_until = std::max(found->lease_until, now + found->spec.lease);
  }
  Tell(*found, mmu::Renewed{nonce, extended});
  return absl::OkStatus();
}

absl::Status SecondaryMmus::DropMappings(SubscriptionId id,
                                         absl::Span<const PfnExtent> pfns) {
  const Critical critical(this);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * found, FindLive(id));
  for (const PfnExtent& extent : pfns) found->mapped.Remove(extent);
  return absl::OkStatus();
}

absl::Status SecondaryMmus::Watch(SubscriptionId id, uint64_t req,
                                  PfnExtent pfns) {
  const Critical critical(this);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * found, FindLive(id));
  if (found->spec.rule != RetryRule::kInterval) {
    return BreaksProtocol(*found, "only the rule of intervals can watch more");
  }
  if (!FitsWithin(pfns.first, pfns.count, kEveryPfn.end()) ||
      found->intervals.size() >= MmuLimits::kMaxIntervals ||
      !found->intervals.MayAdd(pfns)) {
    return Refuse(*found, absl::StatusCode::kInvalidArgument,
                  Reason::kRangeInvalid,
                  absl::StrFormat("cannot watch %d pfns from 0x%x: an interval "
                                  "is not empty, overlaps no other, and there "
                                  "are at most %d",
                                  pfns.count.value(), pfns.first.value(),
                                  MmuLimits::kMaxIntervals));
  }
  const bool deferred = ranges_.active() > 0 && ranges_.interval_hit();
  // An interval that comes while ranges are open begins as if one had hit it.
  const uint64_t seq = deferred               ? ranges_.interval_seq()
                       : ranges_.active() > 0 ? ranges_.HitInterval()
                                              : ranges_.interval_seq() - 1;
  found->intervals.Add(pfns, seq, deferred);
  Tell(*found, mmu::Watched{req, deferred});
  return absl::OkStatus();
}

absl::Status SecondaryMmus::Unwatch(SubscriptionId id, uint64_t req,
                                    PfnExtent pfns) {
  const Critical critical(this);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * found, FindLive(id));
  if (found->spec.rule != RetryRule::kInterval) {
    return BreaksProtocol(*found, "only the rule of intervals can unwatch");
  }
  WatchedIntervals::Interval* const interval =
      found->intervals.FindExactly(pfns);
  if (interval == nullptr) {
    return Refuse(*found, absl::StatusCode::kOutOfRange, Reason::kPfnNotWatched,
                  absl::StrFormat("it watches no interval of %d pfns from 0x%x",
                                  pfns.count.value(), pfns.first.value()));
  }
  found->mapped.Remove(pfns);
  EraseIf(found->resolved, [&](const auto& request) {
    return pfns.Contains(request.second.fault.pfn);
  });
  std::vector<uint64_t> lost;
  for (const auto& [number, request] : found->parked) {
    if (pfns.Contains(request.fault.pfn)) lost.push_back(number);
  }
  for (const uint64_t number : lost) {
    const Pfn pfn = found->parked[number].fault.pfn;
    found->parked.erase(number);
    std::erase(parked_, std::pair(id, number));
    Tell(*found, mmu::FaultError{number, NotWatched(*found, pfn)});
  }
  if (ranges_.interval_hit() && !interval->adding) {
    interval->removing = req;
    return absl::OkStatus();
  }
  found->intervals.Erase(pfns);
  Tell(*found, mmu::Unwatched{req});
  return absl::OkStatus();
}

}  // namespace simvisor
