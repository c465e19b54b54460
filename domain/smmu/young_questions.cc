#include "domain/smmu/young_questions.h"

#include <algorithm>
#include <utility>

namespace simvisor {

uint64_t YoungQuestions::Ask(Question question) {
  if (question.pending.empty() && question.gate != nullptr) {
    question.gate->Open();
  }
  questions_.emplace(++last_id_, std::move(question));
  return last_id_;
}

YoungQuestions::Question* YoungQuestions::Find(uint64_t id) {
  const auto at = questions_.find(id);
  return at == questions_.end() ? nullptr : &at->second;
}

void YoungQuestions::Answer(uint64_t id, SubscriptionId subscription,
                            const PfnSet& young) {
  Question* question = Find(id);
  if (question == nullptr || !question->pending.contains(subscription)) return;
  for (const auto& [first, end] : young.extents()) {
    AddYoung(ExtentBetween(first, end), *question);
  }
  Erase(subscription, *question);
}

void YoungQuestions::Leave(uint64_t id, SubscriptionId subscription) {
  if (Question* question = Find(id)) Erase(subscription, *question);
}

std::optional<YoungQuestions::Question> YoungQuestions::End(uint64_t id) {
  const auto at = questions_.find(id);
  if (at == questions_.end()) return std::nullopt;
  Question question = std::move(at->second);
  questions_.erase(at);
  return question;
}

void YoungQuestions::AddYoung(PfnExtent young, Question& question) {
  question.young.Add(ExtentBetween(std::max(young.first, question.pfns.first),
                                   std::min(young.end(), question.pfns.end())));
}

void YoungQuestions::Erase(SubscriptionId subscription, Question& question) {
  if (question.pending.erase(subscription) == 0) return;
  if (question.pending.empty() && question.gate != nullptr) {
    question.gate->Open();
  }
}

}  // namespace simvisor
