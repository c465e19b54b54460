// Questions about accessed bits.

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "domain/smmu/secondary_mmus.h"
#include "domain/smmu/subscription.h"

namespace simvisor {

uint64_t SecondaryMmus::AccessedBits::AskYoung(PfnExtent pfns, bool clear,
                                               ChangeGate* gate) {
  Step step(&mmus_.mu_, &mmus_.signals_);
  YoungQuestions::Question question;
  question.pfns = pfns;
  question.clear = clear;
  question.gate = gate;
  for (auto& [id, asked] : mmus_.subscriptions_) {
    if (!asked->records.Meets(pfns, false)) continue;
    ++question.asked;
    if (asked->hears() && asked->state == SubscriptionState::kLive) {
      question.pending[id] = mmus_.Send(*asked, mmu::Young{pfns, clear});
    } else {
      CountSilent(*asked, question);
    }
  }
  const auto pending = question.pending;
  const uint64_t number = mmus_.questions_.Ask(std::move(question));
  for (const auto& [id, ev] : pending) mmus_.Find(id)->young_asked[ev] = number;
  return number;
}

void SecondaryMmus::CountSilent(const Subscription& silent,
                                YoungQuestions::Question& question) {
  ++question.silent;
  silent.records.VisitIn(question.pfns, [&question](const MappingRun& run) {
    YoungQuestions::AddYoung({run.pfn, run.count}, question);
    return true;
  });
}

void SecondaryMmus::StaySilent(Subscription& silent) {
  for (const auto& [ev, number] : silent.young_asked) {
    if (YoungQuestions::Question* question = questions_.Find(number)) {
      CountSilent(silent, *question);
      questions_.Leave(number, silent.id);
    }
  }
  silent.young_asked.clear();
}

absl::Status SecondaryMmus::AccessedBits::AnswerYoung(
    SubscriptionId id, uint64_t ev, absl::Span<const PfnExtent> young) {
  constexpr absl::string_view kOperation = "answer about accessed pages";
  Step step(&mmus_.mu_, &mmus_.signals_);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * by, mmus_.Attached(kOperation, id));
  if (young.size() > MmuLimits::kMaxYoungRuns) {
    return mmus_.BreakProtocol(
        kOperation, *by,
        absl::StrCat("it has ", young.size(), " extents; at most ",
                     MmuLimits::kMaxYoungRuns, " may be"));
  }
  PfnSet pages;
  for (const PfnExtent extent : young) {
    // What does not fit was not asked.
    if (FitsWithin(extent.first, extent.count, kEveryPfn.end())) {
      pages.Add(extent);
    }
  }
  mmus_.TakeYoung(*by, ev, pages);
  return absl::OkStatus();
}

void SecondaryMmus::TakeYoung(Subscription& by, uint64_t ev,
                              const PfnSet& young) {
  const auto asked = by.young_asked.find(ev);
  if (asked == by.young_asked.end()) return;
  questions_.Answer(asked->second, by.id, young);
  by.young_asked.erase(asked);
}

void SecondaryMmus::AccessedBits::CallBackYoung(uint64_t question) {
  std::vector<std::pair<std::shared_ptr<Subscription>, uint64_t>> calls;
  PfnExtent pfns;
  bool clear = false;
  {
    absl::MutexLock lock(&mmus_.mu_);
    const YoungQuestions::Question* asked = mmus_.questions_.Find(question);
    if (asked == nullptr) return;
    pfns = asked->pfns;
    clear = asked->clear;
    for (const auto& [id, ev] : asked->pending) {
      const std::shared_ptr<Subscription>& called = mmus_.subscriptions_.at(id);
      if (called->object == nullptr) continue;
      ++called->running;
      calls.emplace_back(called, ev);
    }
  }
  for (const auto& [called, ev] : calls) {
    const PfnSet young = called->object->Young(pfns, clear);
    Step step(&mmus_.mu_, &mmus_.signals_);
    mmus_.TakeYoung(*called, ev, young);
    mmus_.EndCallBack(*called);
  }
}

SecondaryMmus::YoungAnswer SecondaryMmus::AccessedBits::EndYoung(
    uint64_t question) {
  absl::MutexLock lock(&mmus_.mu_);
  std::optional<YoungQuestions::Question> ended =
      mmus_.questions_.End(question);
  if (!ended.has_value()) return {};
  for (const auto& [id, ev] : ended->pending) {
    Subscription& silent = *mmus_.Find(id);
    CountSilent(silent, *ended);
    silent.young_asked.erase(ev);
  }
  return {std::move(ended->young), ended->asked, ended->silent};
}

}  // namespace simvisor
