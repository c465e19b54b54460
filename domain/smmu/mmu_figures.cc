// What can be seen of secondary MMUs, the dirty log's part, and the audit.

#include <algorithm>

#include "absl/strings/str_format.h"
#include "domain/smmu/mmu_critical.h"
#include "domain/smmu/secondary_mmus.h"

namespace simvisor {

// --- Log-dirty ---------------------------------------------------------------

void SecondaryMmus::SetLogging(bool on) {
  absl::MutexLock lock(&mu_);
  logging_ = on;
}

PfnSet SecondaryMmus::Granted() const {
  absl::MutexLock lock(&mu_);
  return granted_;
}

PfnSet SecondaryMmus::TakeGranted() {
  absl::MutexLock lock(&mu_);
  return std::exchange(granted_, PfnSet());
}

std::vector<PfnExtent> SecondaryMmus::WritableIn(const PfnSet* within) const {
  PfnSet writable;
  absl::MutexLock lock(&mu_);
  for (const auto& [id, subscription] : subscriptions_) {
    if (!subscription->stays() ||
        subscription->mapped.writable() == PageCount(0)) {
      continue;
    }
    subscription->mapped.ForEachIn(kEveryPfn, [&](const MappingRun& run) {
      if (run.writable) writable.Add({run.pfn, run.count});
    });
  }
  std::vector<PfnExtent> extents;
  for (const auto& [first, end] : writable.extents()) {
    if (within == nullptr) {
      extents.push_back(ExtentBetween(first, end));
      continue;
    }
    auto at = within->extents().upper_bound(first);
    if (at != within->extents().begin()) --at;
    for (; at != within->extents().end() && at->first < end; ++at) {
      const PfnExtent part =
          ExtentBetween(std::max(first, at->first), std::min(end, at->second));
      if (!part.empty()) extents.push_back(part);
    }
  }
  return extents;
}

// --- Figures -----------------------------------------------------------------

MmuTotals SecondaryMmus::Totals() const {
  absl::MutexLock lock(&mu_);
  MmuTotals totals;
  for (const auto& [id, subscription] : subscriptions_) {
    if (!subscription->stays()) continue;
    ++totals.subscriptions;
    totals.mapped += subscription->mapped.pages();
  }
  totals.open_ranges = ranges_.active();
  totals.seq = ranges_.seq();
  totals.interval_seq = ranges_.interval_seq();
  totals.fences = fences_;
  return totals;
}

std::vector<MmuInfo> SecondaryMmus::List(absl::Time now) const {
  absl::MutexLock lock(&mu_);
  std::vector<MmuInfo> list;
  for (const auto& [id, subscription] : subscriptions_) {
    MmuInfo info = subscription->figures;
    info.id = id;
    info.name = subscription->spec.name;
    info.state = subscription->state;
    info.rule = subscription->spec.rule;
    info.events = subscription->spec.events;
    info.in_process = subscription->object != nullptr;
    if (!subscription->spec.intervals.empty() ||
        info.rule == RetryRule::kInterval) {
      info.intervals = subscription->intervals.extents();
    }
    info.mapped = subscription->mapped.pages();
    info.writable = subscription->mapped.writable();
    info.mapped_runs = subscription->mapped.size();
    info.lease_left = subscription->stays() ? subscription->lease_until - now
                                            : absl::ZeroDuration();
    for (const auto& [ev, owed] : subscription->owed) {
      if (owed.kind == Subscription::Owed::Kind::kYoung) continue;
      ++info.unanswered_events;
      info.oldest_unanswered =
          std::max(info.oldest_unanswered, now - owed.since);
    }
    list.push_back(std::move(info));
  }
  return list;
}

absl::StatusOr<Pfn> SecondaryMmus::ListMappings(
    SubscriptionId id, Pfn from, size_t most,
    std::vector<MappingRun>& runs) const {
  absl::MutexLock lock(&mu_);
  const Subscription* const found = Find(id);
  if (found != nullptr) return found->mapped.List(from, most, runs);
  const Context context(domain_, "list mappings");
  return context.Refuse(
      absl::StatusCode::kNotFound, Reason::kSecondaryMmuNotFound,
      absl::StrFormat("of subscription %d", static_cast<uint64_t>(id)),
      "there is none with this number; see mmu list");
}

// --- Audit -------------------------------------------------------------------

void SecondaryMmus::CheckRanges(Findings& findings) const {
  if (ranges_.active() != ranges_.ranges().size()) {
    findings.Add(absl::StrFormat("%d ranges are open, but %d are counted",
                                 ranges_.ranges().size(), ranges_.active()));
  }
  if (ranges_.interval_hit() && ranges_.active() == 0) {
    findings.Add(
        absl::StrFormat("the sequence of intervals is %d, but no range is open",
                        ranges_.interval_seq()));
  }
  for (const auto& [id, range] : ranges_.ranges()) {
    for (const SubscriptionId number : range.pending) {
      const Subscription* const subscription = Find(number);
      const RangeId open = id;
      const bool owes =
          subscription != nullptr &&
          std::any_of(subscription->owed.begin(), subscription->owed.end(),
                      [open](const auto& owed) {
                        return owed.second.kind ==
                                   Subscription::Owed::Kind::kRange &&
                               owed.second.range == open;
                      });
      if (range.told.contains(number) && owes) continue;
      findings.Add(absl::StrFormat(
          "range %d waits for subscription %d, which owes it no answer",
          static_cast<uint64_t>(id), static_cast<uint64_t>(number)));
    }
  }
}

void SecondaryMmus::CheckSubscription(const Subscription& subscription,
                                      Findings& findings) const {
  const auto add = [&](absl::string_view what) {
    findings.Add(absl::StrFormat("subscription %d %s",
                                 static_cast<uint64_t>(subscription.id), what));
  };
  if (!subscription.stays()) {
    if (subscription.mapped.size() > 0) add("has left, and maps pages");
    if (!subscription.owed.empty()) add("has left, and owes answers");
    return;
  }
  for (const auto& [ev, owed] : subscription.owed) {
    if (owed.kind == Subscription::Owed::Kind::kRelease &&
        !releasing_.contains(subscription.id)) {
      add("owes an answer to a release that is over");
    }
    if (owed.kind != Subscription::Owed::Kind::kRange) continue;
    const OpenRange* const range = ranges_.Find(owed.range);
    if (range == nullptr || !range->pending.contains(subscription.id)) {
      add("owes an answer that no range waits for");
    }
  }
  for (const auto& [req, request] : subscription.parked) {
    const auto count = std::count(parked_.begin(), parked_.end(),
                                  std::pair(subscription.id, req));
    if (count != 1) add("has a parked fault that is not queued once");
  }
  if (!subscription.parked.empty() && ranges_.active() == 0) {
    add("has a parked fault that no range stops");
  }
}

void SecondaryMmus::Check(
    Findings& findings,
    absl::FunctionRef<void(const MappingRun&)> check_run) const {
  absl::MutexLock lock(&mu_);
  CheckRanges(findings);
  uint32_t live = 0;
  size_t parked = 0;
  for (const auto& [id, subscription] : subscriptions_) {
    CheckSubscription(*subscription, findings);
    live += subscription->stays() ? 1 : 0;
    parked += subscription->parked.size();
    PageCount pages;
    PageCount writable;
    subscription->mapped.ForEachIn(kEveryPfn, [&](const MappingRun& run) {
      pages += run.count;
      if (run.writable) writable += run.count;
      check_run(run);
    });
    if (pages != subscription->mapped.pages() ||
        writable != subscription->mapped.writable()) {
      findings.Add("the mappings of a subscription are not as counted");
    }
  }
  if (live != live_.load(std::memory_order_relaxed)) {
    findings.Add(absl::StrFormat("%d subscriptions, but %d are counted", live,
                                 live_.load(std::memory_order_relaxed)));
  }
  if (parked != parked_.size()) {
    findings.Add("the queue of parked faults is not as they are");
  }
}

}  // namespace simvisor
