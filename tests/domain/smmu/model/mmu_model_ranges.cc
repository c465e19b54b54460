// What the model's ranges, releases and questions do.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/domain/smmu/mmu_text.h"
#include "tests/domain/smmu/model/mmu_model.h"

namespace simvisor {
namespace {

bool Meet(PfnExtent a, PfnExtent b) {
  return a.first < b.end() && b.first < a.end();
}

bool AnyMeets(const std::vector<PfnExtent>& extents, PfnExtent pfns) {
  return std::any_of(extents.begin(), extents.end(),
                     [&](PfnExtent extent) { return Meet(extent, pfns); });
}

}  // namespace

bool MmuModel::IsConcerned(const Subscription& sub, const Range& range) const {
  bool meets = false;
  if (sub.spec.rule == RetryRule::kInterval) {
    for (const Interval& interval : sub.intervals) {
      if (!interval.adding && AnyMeets(range.pfns, interval.pfns)) meets = true;
    }
  } else if (sub.spec.intervals.empty()) {
    meets = true;
  } else {
    for (const PfnExtent pfns : sub.spec.intervals) {
      if (AnyMeets(range.pfns, pfns)) meets = true;
    }
  }
  if (!meets || sub.spec.events == EventFilter::kAll) return meets;
  return HasMappings(sub, range);
}

bool MmuModel::HasMappings(const Subscription& sub, const Range& range) const {
  return std::any_of(
      sub.mappings.begin(), sub.mappings.end(), [&](const auto& mapping) {
        const PfnExtent page = {Pfn(mapping.first), PageCount(1)};
        return AnyMeets(range.pfns, page) &&
               (range.reason != InvalidateReason::kProtect ||
                mapping.second.writable);
      });
}

void MmuModel::HitIntervals(const Range& range) {
  for (auto& [id, sub] : subs_) {
    for (Interval& interval : sub.intervals) {
      if (interval.adding || !AnyMeets(range.pfns, interval.pfns)) continue;
      if (iseq_ % 2 == 0) ++iseq_;
      interval.seq = iseq_;
    }
  }
}

uint64_t MmuModel::Open(Range range, bool blockable) {
  const uint64_t number = ++last_range_;
  HitIntervals(range);
  for (auto& [id, sub] : subs_) {
    if (!Here(sub)) continue;
    if (dying_) {
      // The release that it was told of was the last event; what it has mapped
      // goes when it acknowledges that.
      if (HasMappings(sub, range)) range.pending.insert(id);
      continue;
    }
    if (!IsConcerned(sub, range)) continue;
    range.told.insert(id);
    range.pending.insert(id);
    const uint64_t ev = SendBegin(sub, number, range, blockable);
    sub.owing[ev] = {.range = number, .may_refuse = !blockable};
  }
  ranges_[number] = std::move(range);
  return number;
}

uint64_t MmuModel::SendBegin(Subscription& sub, uint64_t number,
                             const Range& range, bool blockable) {
  if (range.page) {
    return Send(sub, mmu::PageInvalidate{.range = RangeId(number),
                                         .pfn = range.pfns.front().first,
                                         .reason = range.reason});
  }
  uint64_t ev = 0;
  for (size_t at = 0; at < range.pfns.size();) {
    mmu::RangeBegin begin = {.range = RangeId(number),
                             .pfns = {},
                             .reason = range.reason,
                             .blockable = blockable};
    for (; at < range.pfns.size() && begin.pfns.size() < MmuLimits::kMaxExtents;
         ++at) {
      begin.pfns.push_back(range.pfns[at]);
    }
    begin.more = at < range.pfns.size();
    ev = Send(sub, begin);
  }
  return ev;
}

uint64_t MmuModel::BeginRange(std::vector<PfnExtent> pfns,
                              InvalidateReason reason, bool blockable) {
  return Open({.pfns = std::move(pfns),
               .reason = reason,
               .page = false,
               .told = {},
               .pending = {},
               .called = {}},
              blockable);
}

uint64_t MmuModel::BeginPage(uint64_t pfn, InvalidateReason reason) {
  return Open({.pfns = {{Pfn(pfn), PageCount(1)}},
               .reason = reason,
               .page = true,
               .told = {},
               .pending = {},
               .called = {}},
              /*blockable=*/true);
}

void MmuModel::CallBack(uint64_t range,
                        const std::function<void(uint64_t id)>& inside) {
  for (const ClosedCall& call : std::exchange(closed_calls_, {})) {
    Subscription& sub = subs_.at(call.id);
    if (Here(sub) && !dying_) sub.calls.push_back(call.text);
  }
  const auto found = ranges_.find(range);
  if (found == ranges_.end()) return;
  const std::set<uint64_t> told = found->second.told;
  for (const uint64_t id : told) {
    Subscription& sub = subs_.at(id);
    if (!sub.in_process || !found->second.pending.contains(id) ||
        !found->second.called.insert(id).second) {
      continue;
    }
    sub.calls.push_back(absl::StrCat(found->second.page ? "page " : "begin ",
                                     range, " ",
                                     ExtentsText(found->second.pfns)));
    inside(id);
    const auto owing = std::find_if(
        sub.owing.begin(), sub.owing.end(),
        [&](const auto& owed) { return owed.second.range == range; });
    bool counted = false;
    if (owing != sub.owing.end()) {
      Ack(id, owing->first, absl::Time(), &counted);
    }
  }
}

MmuModel::Answers MmuModel::AnswersTo(uint64_t range) const {
  const auto found = ranges_.find(range);
  if (found == ranges_.end()) return Answers::kClosed;
  if (found->second.refused) return Answers::kRefused;
  return found->second.pending.empty() ? Answers::kGiven : Answers::kPending;
}

std::vector<std::string> MmuModel::PendingOf(uint64_t range) const {
  std::vector<std::string> names;
  const auto found = ranges_.find(range);
  if (found == ranges_.end()) return names;
  for (const uint64_t id : found->second.pending) {
    names.push_back(subs_.at(id).spec.name);
  }
  return names;
}

void MmuModel::Close(uint64_t range, bool aborted) {
  const auto found = ranges_.find(range);
  if (found == ranges_.end()) return;
  const Range closed = std::move(found->second);
  ++seq_;
  ranges_.erase(found);
  for (const uint64_t id : closed.told) {
    Subscription& sub = subs_.at(id);
    std::erase_if(sub.owing, [&](const auto& owing) {
      return owing.second.range == range;
    });
    if (closed.page) continue;
    if (closed.called.contains(id)) {
      closed_calls_.push_back(
          {id, absl::StrCat(aborted ? "abort " : "end ", range, " ", seq_)});
    }
    if (aborted) {
      Send(sub, mmu::RangeAbort{.range = RangeId(range), .seq = seq_});
    } else {
      Send(sub, mmu::RangeEnd{.range = RangeId(range), .seq = seq_});
    }
  }
  if (ranges_.empty()) Settle();
}

void MmuModel::Settle() {
  DoDeferredEdits();
  AnswerParked();
}

void MmuModel::DoDeferredEdits() {
  if (iseq_ % 2 == 0) return;
  ++iseq_;
  for (auto& [id, sub] : subs_) {
    for (Interval& interval : sub.intervals) {
      if (interval.adding) interval.seq = iseq_ - 1;
      interval.adding = false;
    }
    for (const uint64_t req : sub.unwatches) {
      Send(sub, mmu::Unwatched{.req = req});
    }
    sub.unwatches.clear();
    std::erase_if(sub.intervals,
                  [](const Interval& interval) { return interval.removing; });
  }
}

std::vector<MmuModel::Request> MmuModel::TakeParked(Subscription& sub) {
  std::vector<Request> parked;
  std::erase_if(sub.requests, [&](const Request& request) {
    if (request.parked) parked.push_back(request);
    return request.parked;
  });
  return parked;
}

void MmuModel::AnswerParked() {
  for (auto& [id, sub] : subs_) {
    for (const Request& request : TakeParked(sub)) Resolve(sub, request.fault);
  }
}

void MmuModel::Release(ReleaseReason reason, const std::string& target) {
  dying_ = true;
  // A daemon that ends takes no faults, but its domain is not dying.
  released_ = reason == ReleaseReason::kShutdown
                  ? Reason::kSecondaryMmuNotAttached
                  : Reason::kDomainDying;
  // The release closes every range.
  seq_ += ranges_.size();
  if (!ranges_.empty()) DoDeferredEdits();
  ranges_.clear();
  for (auto& [id, sub] : subs_) {
    if (!Here(sub)) continue;
    sub.owing.clear();
    for (const Request& request : TakeParked(sub)) {
      FailDying(sub, request.fault.req);
    }
    const uint64_t ev =
        Send(sub, mmu::Release{.reason = reason, .target = target});
    sub.owing[ev] = {};
    if (!sub.in_process) continue;
    sub.calls.push_back("release");
    Leave(sub, SubscriptionState::kGone);
  }
}

bool MmuModel::Released() const {
  return std::none_of(subs_.begin(), subs_.end(),
                      [](const auto& sub) { return Here(sub.second); });
}

// --- Accessed bits, log-dirty ------------------------------------------------

// A stream that broke, or a client that has heard its last event.
bool MmuModel::CannotTell(const Subscription& sub) const {
  return sub.state == SubscriptionState::kDetached || dying_;
}

uint64_t MmuModel::AskYoung(PfnExtent pfns, bool clear,
                            const std::vector<PfnExtent>& by_object) {
  const uint64_t number = ++last_question_;
  Question question = {.pfns = pfns, .answer = {}, .pending = {}};
  for (auto& [id, sub] : subs_) {
    bool maps = false;
    for (const auto& [pfn, mapping] : sub.mappings) {
      if (!pfns.Contains(Pfn(pfn))) continue;
      maps = true;
      if (CannotTell(sub)) {
        question.answer.young.insert(pfn);
      }
    }
    if (!maps) continue;
    ++question.answer.asked;
    if (CannotTell(sub)) {
      ++question.answer.silent;
      continue;
    }
    question.pending.insert(id);
    sub.young[Send(sub, mmu::Young{.pfns = pfns, .clear = clear})] = number;
  }
  questions_[number] = question;
  CallBackYoung(number, by_object);
  return number;
}

void MmuModel::CallBackYoung(uint64_t question,
                             const std::vector<PfnExtent>& young) {
  const std::set<uint64_t> pending = questions_.at(question).pending;
  for (const uint64_t id : pending) {
    Subscription& sub = subs_.at(id);
    if (!sub.in_process) continue;
    sub.calls.push_back("young");
    for (const auto& [ev, number] : sub.young) {
      if (number != question) continue;
      AnswerYoung(id, ev, young);
      break;
    }
  }
}

bool MmuModel::YoungAnswered(uint64_t question) const {
  return questions_.at(question).pending.empty();
}

MmuModel::YoungAnswer MmuModel::EndYoung(uint64_t number) {
  Question question = questions_.at(number);
  questions_.erase(number);
  for (const uint64_t id : question.pending) {
    ++question.answer.silent;
    Subscription& sub = subs_.at(id);
    for (const auto& [pfn, mapping] : sub.mappings) {
      if (question.pfns.Contains(Pfn(pfn))) question.answer.young.insert(pfn);
    }
    std::erase_if(sub.young,
                  [&](const auto& asked) { return asked.second == number; });
  }
  return question.answer;
}

void MmuModel::SetLogging(bool on) {
  logging_ = on;
  granted_.clear();
}

std::set<uint64_t> MmuModel::TakeGranted() {
  return std::exchange(granted_, {});
}

std::set<uint64_t> MmuModel::WritablePfns() const {
  std::set<uint64_t> pfns;
  for (const auto& [id, sub] : subs_) {
    for (const auto& [pfn, mapping] : sub.mappings) {
      if (mapping.writable) pfns.insert(pfn);
    }
  }
  return pfns;
}

}  // namespace simvisor
