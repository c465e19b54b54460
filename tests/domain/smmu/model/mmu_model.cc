#include "tests/domain/smmu/model/mmu_model.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "base/error.h"

namespace simvisor {
namespace {

std::string Name(Reason reason) {
  const absl::string_view name = ReasonName(reason);
  return {name.data(), name.size()};
}

}  // namespace

// --- Joining and leaving -----------------------------------------------------

MmuModel::Result MmuModel::Insert(uint64_t id, const MmuSpec& spec,
                                  bool in_process, uint64_t epoch,
                                  absl::Time now) {
  if (Count().subscriptions >= MmuLimits::kPerDomain) {
    return Name(Reason::kSecondaryMmusExhausted);
  }
  Subscription& sub = subs_[id];
  sub.id = id;
  sub.spec = spec;
  sub.in_process = in_process;
  RenewLease(sub, now);
  if (spec.rule == RetryRule::kInterval) {
    std::vector<PfnExtent> watched = spec.intervals;
    if (watched.empty()) watched.push_back(kEveryPfn);
    for (const PfnExtent pfns : watched) {
      sub.intervals.push_back(
          {.key = ++last_interval_, .pfns = pfns, .seq = iseq_ - 1});
    }
  }
  Send(sub, mmu::Registered{.subscription = SubscriptionId(id),
                            .token = "",
                            .epoch = epoch,
                            .seq = seq_,
                            .lease = spec.lease});
  return "";
}

void MmuModel::RenewLease(Subscription& sub, absl::Time now) {
  sub.lease_until =
      sub.in_process ? absl::InfiniteFuture() : now + sub.spec.lease;
}

void MmuModel::Leave(Subscription& sub, SubscriptionState state) {
  EndSilence(sub, state == SubscriptionState::kFenced);
  sub.state = state;
  sub.mappings.clear();
  sub.intervals.clear();
  sub.unwatches.clear();
  sub.requests.clear();
  sub.owing.clear();
  for (auto& [number, range] : ranges_) {
    range.pending.erase(sub.id);
    range.told.erase(sub.id);  // nothing names it any more
  }
}

void MmuModel::EndSilence(Subscription& sub, bool counts_as_young) {
  for (const auto& [ev, number] : sub.young) {
    const auto found = questions_.find(number);
    if (found == questions_.end()) continue;
    Question& question = found->second;
    question.pending.erase(sub.id);
    if (!counts_as_young) continue;
    ++question.answer.silent;
    for (const auto& [pfn, mapping] : sub.mappings) {
      if (question.pfns.Contains(Pfn(pfn))) question.answer.young.insert(pfn);
    }
  }
  sub.young.clear();
}

void MmuModel::Unregister(uint64_t id) {
  const auto found = subs_.find(id);
  if (found == subs_.end() || !Here(found->second)) return;
  Leave(found->second, SubscriptionState::kGone);
  Send(found->second, mmu::Unregistered{});
}

void MmuModel::Detach(uint64_t id) {
  const auto found = subs_.find(id);
  if (found == subs_.end()) return;
  Subscription& sub = found->second;
  if (sub.state != SubscriptionState::kLive) return;
  if (!sub.spec.resumable) {
    Fence(id, FenceCause::kStream);
    return;
  }
  EndSilence(sub, /*counts_as_young=*/true);
  sub.state = SubscriptionState::kDetached;
  sub.requests.clear();  // unanswered faults are void
}

MmuModel::Result MmuModel::Reattach(uint64_t id, uint64_t last_ev) {
  const auto found = subs_.find(id);
  if (found == subs_.end() || found->second.state == SubscriptionState::kGone) {
    return Name(Reason::kSecondaryMmuNotFound);
  }
  Subscription& sub = found->second;
  if (sub.state == SubscriptionState::kFenced) {
    return Name(Reason::kSecondaryMmuFenced);
  }
  if (sub.state == SubscriptionState::kLive) {
    return Name(Reason::kSecondaryMmuProtocol);
  }
  if (last_ev > sub.taken || last_ev < sub.confirmed) {
    return Name(Reason::kArgumentMalformed);
  }
  sub.state = SubscriptionState::kLive;
  sub.taken = last_ev;
  sub.confirmed = last_ev;
  sub.resumed = true;
  return "";
}

bool MmuModel::Fence(uint64_t id, FenceCause cause) {
  const auto found = subs_.find(id);
  if (found == subs_.end() || !Here(found->second)) return false;
  Leave(found->second, SubscriptionState::kFenced);
  ++fences_;
  Send(found->second, mmu::Fenced{.cause = cause, .status = absl::OkStatus()});
  return true;
}

absl::Time MmuModel::Expire(absl::Time now) {
  absl::Time next = absl::InfiniteFuture();
  for (auto& [id, sub] : subs_) {
    if (!Here(sub)) continue;
    if (sub.lease_until <= now) {
      Fence(id, FenceCause::kLease);
    } else {
      next = std::min(next, sub.lease_until);
    }
  }
  return next;
}

// --- Answers and renewals ----------------------------------------------------

MmuModel::Result MmuModel::Attached(uint64_t id) const {
  const auto found = subs_.find(id);
  if (found == subs_.end()) return Name(Reason::kSecondaryMmuNotAttached);
  switch (found->second.state) {
    case SubscriptionState::kLive:
      return "";
    case SubscriptionState::kFenced:
      return Name(Reason::kSecondaryMmuFenced);
    case SubscriptionState::kDetached:
    case SubscriptionState::kGone:
      break;
  }
  return Name(Reason::kSecondaryMmuNotAttached);
}

MmuModel::Result MmuModel::Protocol(uint64_t id) {
  Fence(id, FenceCause::kProtocol);
  return Name(Reason::kSecondaryMmuProtocol);
}

uint64_t MmuModel::Send(Subscription& sub, mmu::Body body) {
  const uint64_t ev = sub.sent.size() + 1;
  sub.sent.push_back({.ev = ev, .body = std::move(body)});
  return ev;
}

void MmuModel::FailFault(Subscription& sub, uint64_t req, absl::StatusCode code,
                         Reason reason) {
  Send(sub, mmu::FaultError{.req = req, .status = MakeError(code, reason, "")});
}

void MmuModel::FailDying(Subscription& sub, uint64_t req) {
  FailFault(sub, req, absl::StatusCode::kFailedPrecondition, released_);
}

MmuModel::Result MmuModel::Ack(uint64_t id, uint64_t ev, absl::Time now,
                               bool* counted) {
  *counted = false;
  if (Result result = Attached(id); !result.empty()) return result;
  Subscription& sub = subs_[id];
  const auto found = sub.owing.find(ev);
  if (found == sub.owing.end()) return "";
  *counted = true;
  // What it has not taken it has not received.
  sub.confirmed =
      std::max<uint64_t>(sub.confirmed, std::min<uint64_t>(ev, sub.taken));
  const Owing owing = found->second;
  sub.owing.erase(found);
  if (owing.range == 0) {
    Leave(sub, SubscriptionState::kGone);
    return "";
  }
  const Range& range = ranges_.at(owing.range);
  for (auto at = sub.mappings.begin(); at != sub.mappings.end();) {
    const bool hit = std::any_of(
        range.pfns.begin(), range.pfns.end(),
        [&](PfnExtent pfns) { return pfns.Contains(Pfn(at->first)); });
    if (hit && range.reason != InvalidateReason::kProtect) {
      at = sub.mappings.erase(at);
      continue;
    }
    if (hit) at->second.writable = false;
    ++at;
  }
  ranges_.at(owing.range).pending.erase(id);
  if (sub.owing.empty()) RenewLease(sub, now);
  return "";
}

MmuModel::Result MmuModel::Nack(uint64_t id, uint64_t ev, absl::Time now) {
  if (Result result = Attached(id); !result.empty()) return result;
  Subscription& sub = subs_[id];
  const auto found = sub.owing.find(ev);
  if (found == sub.owing.end()) return "";
  if (!found->second.may_refuse) {
    Protocol(id);
    return Name(Reason::kSecondaryMmuFenced);
  }
  Range& range = ranges_.at(found->second.range);
  sub.owing.erase(found);
  range.refused = true;
  range.pending.erase(id);
  if (sub.owing.empty()) RenewLease(sub, now);
  return "";
}

MmuModel::Result MmuModel::AnswerYoung(uint64_t id, uint64_t ev,
                                       const std::vector<PfnExtent>& young) {
  if (Result result = Attached(id); !result.empty()) return result;
  Subscription& sub = subs_[id];
  const auto found = sub.young.find(ev);
  if (found == sub.young.end()) return "";
  const auto asked = questions_.find(found->second);
  sub.young.erase(found);
  if (asked == questions_.end()) return "";
  Question& question = asked->second;
  question.pending.erase(id);
  for (const PfnExtent pfns : young) {
    for (Pfn pfn = pfns.first; pfn < pfns.end(); pfn += PageCount(1)) {
      if (question.pfns.Contains(pfn)) {
        question.answer.young.insert(pfn.value());
      }
    }
  }
  return "";
}

MmuModel::Result MmuModel::DropMappings(uint64_t id,
                                        const std::vector<PfnExtent>& pfns) {
  if (Result result = Attached(id); !result.empty()) return result;
  std::erase_if(subs_[id].mappings, [&](const auto& mapping) {
    return std::any_of(pfns.begin(), pfns.end(), [&](PfnExtent dropped) {
      return dropped.Contains(Pfn(mapping.first));
    });
  });
  return "";
}

MmuModel::Result MmuModel::Renew(uint64_t id, uint64_t nonce, absl::Time now) {
  if (Result result = Attached(id); !result.empty()) return result;
  Subscription& sub = subs_[id];
  const bool extended = sub.owing.empty();
  if (extended) RenewLease(sub, now);
  Send(sub, mmu::Renewed{.nonce = nonce, .extended = extended});
  return "";
}

MmuModel::Result MmuModel::CheckAccess(uint64_t id, uint64_t pfn, bool write,
                                       uint64_t* mfn) {
  if (Result result = Attached(id); !result.empty()) return result;
  const Mappings& mappings = subs_[id].mappings;
  const auto found = mappings.find(pfn);
  if (found == mappings.end()) return Name(Reason::kMappingStale);
  if (write && !found->second.writable) return Name(Reason::kMappingReadOnly);
  *mfn = found->second.mfn;
  return "";
}

void MmuModel::Answer(uint64_t id, const mmu::Body& answer) {
  if (Attached(id).empty()) Send(subs_[id], answer);
}

// --- What can be seen --------------------------------------------------------

std::vector<mmu::Message> MmuModel::TakeMessages(uint64_t id, size_t most) {
  Subscription& sub = subs_.at(id);
  std::vector<mmu::Message> messages;
  if (sub.resumed && most > 0) {
    messages.push_back({.ev = 0, .body = mmu::Resumed{}});
    sub.resumed = false;
  }
  while (messages.size() < most && sub.taken < sub.sent.size()) {
    messages.push_back(sub.sent[sub.taken++]);
  }
  return messages;
}

bool MmuModel::HasMessages(uint64_t id) const {
  const Subscription& sub = subs_.at(id);
  return sub.resumed || sub.taken < sub.sent.size();
}

std::vector<std::string> MmuModel::TakeCalls(uint64_t id) {
  return std::exchange(subs_.at(id).calls, {});
}

MmuModel::Seen MmuModel::Look(uint64_t id, absl::Time now) const {
  const Subscription& sub = subs_.at(id);
  const bool leased = Here(sub) && !sub.in_process;
  return {.state = sub.state,
          .mappings = sub.mappings,
          .lease_left = leased ? sub.lease_until - now : absl::Duration(),
          .unanswered = sub.owing.size()};
}

MmuModel::Figures MmuModel::Count() const {
  Figures figures = {.open_ranges = ranges_.size(),
                     .seq = seq_,
                     .interval_seq = iseq_,
                     .fences = fences_};
  for (const auto& [id, sub] : subs_) {
    if (Here(sub)) ++figures.subscriptions;
    figures.mapped += sub.mappings.size();
  }
  return figures;
}

}  // namespace simvisor
