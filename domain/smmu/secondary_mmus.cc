#include "domain/smmu/secondary_mmus.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "domain/smmu/subscription.h"

namespace simvisor {

SecondaryMmus::SecondaryMmus(const DomainIdentity& domain,
                             const PfnResolver& words)
    : domain_(domain), words_(words) {}

SecondaryMmus::~SecondaryMmus() = default;

SecondaryMmus::Step::~Step() {
  Signals due = std::exchange(*signals_, {});
  mu_->Unlock();
  for (const auto& signal : due) signal->MessagesWait();
}

absl::Status SecondaryMmus::Refuse(absl::string_view operation,
                                   SubscriptionId id, absl::StatusCode code,
                                   Reason reason,
                                   absl::string_view text) const {
  return Context(domain_, operation)
      .Refuse(code, reason,
              absl::StrCat("of subscription ", static_cast<uint64_t>(id)),
              text);
}

absl::Status SecondaryMmus::FencedError(absl::string_view operation,
                                        SubscriptionId id) const {
  return Refuse(operation, id, absl::StatusCode::kAborted,
                Reason::kSecondaryMmuFenced,
                "it was fenced; drop every mapping, then subscribe again");
}

Subscription* SecondaryMmus::Find(SubscriptionId id) const {
  const auto at = subscriptions_.find(id);
  return at == subscriptions_.end() ? nullptr : at->second.get();
}

absl::StatusOr<Subscription*> SecondaryMmus::Attached(
    absl::string_view operation, SubscriptionId id) const {
  Subscription* found = Find(id);
  if (found != nullptr) {
    if (found->state == SubscriptionState::kLive) return found;
    if (found->state == SubscriptionState::kFenced) {
      return FencedError(operation, id);
    }
  }
  return Refuse(operation, id, absl::StatusCode::kFailedPrecondition,
                Reason::kSecondaryMmuNotAttached,
                found != nullptr && !found->ended()
                    ? "its stream broke; resume it first"
                    : "it has left, or never was; subscribe first");
}

uint64_t SecondaryMmus::Send(Subscription& to, mmu::Body body) {
  if (to.signal != nullptr &&
      (signals_.empty() || signals_.back() != to.signal)) {
    signals_.push_back(to.signal);
  }
  return to.queue.Add(std::move(body));
}

absl::StatusOr<SubscriptionId> SecondaryMmus::Insert(
    const Context& context, MmuSpec spec, MmuQuota::Place place, Holder holder,
    uint64_t epoch, absl::Time now) {
  Step step(&mu_, &signals_);
  if (release_.has_value()) {
    return context.Within(ReleasedError("registration", place.id()));
  }
  if (live_.load(std::memory_order_relaxed) >= MmuLimits::kPerDomain) {
    return context.Refuse(
        absl::StatusCode::kResourceExhausted, Reason::kSecondaryMmusExhausted,
        "",
        absl::StrCat("the domain has ", MmuLimits::kPerDomain,
                     " subscriptions already; end some first"),
        {{fact::kLimit, MmuLimits::kPerDomain},
         {fact::kUnit, "subscriptions"}});
  }
  auto added =
      std::make_shared<Subscription>(std::move(spec), std::move(place),
                                     std::move(holder.signal), holder.object);
  const bool open = ranges_.active() > 0;
  for (const PfnExtent interval : added->spec.intervals) {
    added->intervals.Watch(interval, open, clock_);
  }
  if (added->spec.intervals.empty()) {
    added->intervals.Watch(kEveryPfn, open, clock_);
  }
  added->RenewLease(now);
  subscriptions_[added->id] = added;
  live_.fetch_add(1, std::memory_order_relaxed);
  Send(*added, mmu::Registered{added->id, added->token, epoch, ranges_.seq(),
                               added->spec.lease});
  return added->id;
}

void SecondaryMmus::Leave(Subscription& leaving, SubscriptionState end) {
  for (const auto& [ev, question] : leaving.young_asked) {
    questions_.Leave(question, leaving.id);
  }
  ranges_.Leave(leaving.id);
  leaving.End(end);
  live_.fetch_sub(1, std::memory_order_relaxed);
  if (release_.has_value()) OpenReleaseGates();
}

void SecondaryMmus::LeaveAsGone(Subscription& leaving) {
  if (leaving.ended()) return;
  Leave(leaving, SubscriptionState::kGone);
  leaving.leaves = true;
  if (leaving.running == 0) {
    leaving.leaves = false;
    Send(leaving, mmu::Unregistered{});
  }
}

void SecondaryMmus::EndCallBack(Subscription& called) {
  if (--called.running == 0 && std::exchange(called.leaves, false)) {
    Send(called, mmu::Unregistered{});
  }
}

void SecondaryMmus::Unregister(SubscriptionId id) {
  Step step(&mu_, &signals_);
  const auto at = subscriptions_.find(id);
  if (at == subscriptions_.end()) return;
  const std::shared_ptr<Subscription> leaving = at->second;
  LeaveAsGone(*leaving);
  mu_.Await(absl::Condition(
      +[](Subscription* waited_for) { return waited_for->running == 0; },
      leaving.get()));
}

void SecondaryMmus::Retire(SubscriptionId id) {
  Step step(&mu_, &signals_);
  if (Subscription* leaving = Find(id)) LeaveAsGone(*leaving);
}

void SecondaryMmus::Detach(SubscriptionId id, absl::Time now) {
  Step step(&mu_, &signals_);
  Subscription* detached = Find(id);
  if (detached == nullptr || detached->state != SubscriptionState::kLive) {
    return;
  }
  if (!detached->spec.resumable || detached->lease_until <= now) {
    FenceNow(*detached, FenceCause::kStream, FencedError("lost stream", id));
    return;
  }
  StaySilent(*detached);
  detached->faults.Clear();
  detached->state = SubscriptionState::kDetached;
  detached->signal = nullptr;
}

absl::Status SecondaryMmus::Reattach(const Context& context, SubscriptionId id,
                                     absl::string_view token, uint64_t last_ev,
                                     std::shared_ptr<MmuSignal> signal,
                                     absl::Time now) {
  Step step(&mu_, &signals_);
  Subscription* found = Find(id);
  const std::string object =
      absl::StrCat("of subscription ", static_cast<uint64_t>(id));
  if (found == nullptr || found->token.empty() || found->token != token) {
    return context.Refuse(absl::StatusCode::kNotFound,
                          Reason::kSecondaryMmuNotFound, object,
                          "the domain has none with this number and token");
  }
  if (found->state == SubscriptionState::kDetached &&
      found->lease_until <= now) {
    FenceNow(*found, FenceCause::kLease, FencedError("lease", id));
  }
  if (found->state == SubscriptionState::kFenced) {
    return FencedError(context.operation(), id);
  }
  if (found->state != SubscriptionState::kDetached) {
    return context.Refuse(absl::StatusCode::kFailedPrecondition,
                          Reason::kSecondaryMmuProtocol, object,
                          "its stream has not broken");
  }
  if (!found->queue.Replay(last_ev)) {
    return context.Refuse(
        absl::StatusCode::kInvalidArgument, Reason::kArgumentMalformed, object,
        absl::StrCat("message ", last_ev,
                     " was never sent, or is too old to go on from"),
        {{fact::kField, "last_ev"}, {fact::kValue, last_ev}});
  }
  found->state = SubscriptionState::kLive;
  found->signal = std::move(signal);
  if (found->signal != nullptr) signals_.push_back(found->signal);
  return absl::OkStatus();
}

bool SecondaryMmus::Fence(SubscriptionId id, FenceCause cause) {
  Step step(&mu_, &signals_);
  Subscription* fenced = Find(id);
  if (fenced == nullptr || fenced->ended()) return false;
  FenceNow(*fenced, cause, FencedError("fence", id));
  return true;
}

absl::Time SecondaryMmus::Expire(absl::Time now) {
  Step step(&mu_, &signals_);
  absl::Time next = absl::InfiniteFuture();
  for (auto& [id, subscription] : subscriptions_) {
    if (subscription->ended()) continue;
    if (subscription->lease_until <= now) {
      FenceNow(*subscription, FenceCause::kLease, FencedError("lease", id));
    } else {
      next = std::min(next, subscription->lease_until);
    }
  }
  return next;
}

void SecondaryMmus::FenceNow(Subscription& fenced, FenceCause cause,
                             absl::Status status) {
  StaySilent(fenced);
  Leave(fenced, SubscriptionState::kFenced);
  ++fences_;
  Send(fenced, mmu::Fenced{cause, std::move(status)});
}

absl::Status SecondaryMmus::BreakProtocol(absl::string_view operation,
                                          Subscription& breaker,
                                          absl::string_view text) {
  absl::Status status =
      Refuse(operation, breaker.id, absl::StatusCode::kFailedPrecondition,
             Reason::kSecondaryMmuProtocol, text);
  FenceNow(breaker, FenceCause::kProtocol, status);
  return status;
}

std::vector<mmu::Message> SecondaryMmus::TakeMessages(SubscriptionId id,
                                                      size_t most, bool* over) {
  absl::MutexLock lock(&mu_);
  Subscription* taker = Find(id);
  if (taker == nullptr) {
    *over = true;
    return {};
  }
  std::vector<mmu::Message> messages = taker->queue.Take(most);
  *over = taker->ended() && !taker->leaves && taker->queue.empty();
  return messages;
}

void SecondaryMmus::Forget(SubscriptionId id) {
  absl::MutexLock lock(&mu_);
  const Subscription* ended = Find(id);
  if (ended != nullptr && ended->ended()) subscriptions_.erase(id);
}

}  // namespace simvisor
