// Accessed bits: questions to those that map pages.
//
// Source: mmu_notifier_clear_young(), mmu_notifier_test_young().

#include <algorithm>

#include "base/status_macros.h"
#include "domain/smmu/mmu_critical.h"
#include "domain/smmu/secondary_mmus.h"

namespace simvisor {

void SecondaryMmus::AnswerQuestion(uint64_t question, SubscriptionId id) {
  const auto at = questions_.find(question);
  if (at == questions_.end() || at->second.pending.erase(id) == 0) return;
  if (at->second.pending.empty() && at->second.gate != nullptr) {
    at->second.gate->Open();
  }
}

uint64_t SecondaryMmus::AskYoung(PfnExtent pfns, bool clear, ChangeGate* gate) {
  const Critical critical(this);
  const uint64_t number = ++last_question_;
  Question& question = questions_[number];
  question.pfns = pfns;
  question.clear = clear;
  question.gate = gate;
  for (const auto& [id, subscription] : subscriptions_) {
    if (!subscription->stays() || !subscription->mapped.Touches(pfns, false)) {
      continue;
    }
    const uint64_t ev = Tell(*subscription, mmu::Young{pfns, clear});
    subscription->owed[ev] = {.kind = Subscription::Owed::Kind::kYoung,
                              .question = number};
    question.pending.insert(id);
    ++question.answer.asked;
  }
  if (question.pending.empty() && gate != nullptr) gate->Open();
  return number;
}

absl::Status SecondaryMmus::AnswerYoung(SubscriptionId id, uint64_t ev,
                                        absl::Span<const PfnExtent> young) {
  const Critical critical(this);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * found, FindLive(id));
  const auto at = found->owed.find(ev);
  if (at == found->owed.end() ||
      at->second.kind != Subscription::Owed::Kind::kYoung) {
    return absl::OkStatus();
  }
  const uint64_t number = at->second.question;
  found->owed.erase(at);
  const auto question = questions_.find(number);
  if (question == questions_.end()) return absl::OkStatus();
  const PfnExtent asked = question->second.pfns;
  for (const PfnExtent& pfns : young) {
    question->second.answer.young.Add(ExtentBetween(
        std::max(pfns.first, asked.first), std::min(pfns.end(), asked.end())));
  }
  AnswerQuestion(number, id);
  return absl::OkStatus();
}

void SecondaryMmus::CallBackYoung(uint64_t question) {
  std::vector<std::pair<SubscriptionId, SecondaryMmu*>> objects;
  PfnExtent pfns;
  bool clear = false;
  {
    absl::MutexLock lock(&mu_);
    const auto at = questions_.find(question);
    if (at == questions_.end()) return;
    pfns = at->second.pfns;
    clear = at->second.clear;
    for (const SubscriptionId id : at->second.pending) {
      Subscription& subscription = *Find(id);
      if (subscription.object == nullptr) continue;
      ++subscription.running;
      objects.emplace_back(id, subscription.object);
    }
  }
  for (const auto& [id, object] : objects) {
    const PfnSet young = object->Young(pfns, clear);
    const Critical critical(this);
    Subscription& subscription = *Find(id);
    --subscription.running;
    EraseIf(subscription.owed, [question](const auto& owed) {
      return owed.second.kind == Subscription::Owed::Kind::kYoung &&
             owed.second.question == question;
    });
    const auto at = questions_.find(question);
    if (at == questions_.end() || !at->second.pending.contains(id)) continue;
    for (const auto& [first, end] : young.extents()) {
      at->second.answer.young.Add(ExtentBetween(first, end));
    }
    AnswerQuestion(question, id);
  }
}

SecondaryMmus::YoungAnswer SecondaryMmus::EndYoung(uint64_t question) {
  const Critical critical(this);
  const auto at = questions_.find(question);
  if (at == questions_.end()) return {};
  Question& ended = at->second;
  for (const SubscriptionId id : ended.pending) {
    ++ended.answer.silent;
    Find(id)->mapped.ForEachIn(ended.pfns, [&](const MappingRun& run) {
      ended.answer.young.Add({run.pfn, run.count});
    });
  }
  YoungAnswer answer = std::move(ended.answer);
  questions_.erase(at);
  for (const auto& [id, subscription] : subscriptions_) {
    EraseIf(subscription->owed, [question](const auto& owed) {
      return owed.second.kind == Subscription::Owed::Kind::kYoung &&
             owed.second.question == question;
    });
  }
  return answer;
}

}  // namespace simvisor
