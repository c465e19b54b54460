// What can be seen of secondary MMUs: figures, records, and what is wrong.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "domain/smmu/secondary_mmus.h"
#include "domain/smmu/subscription.h"

namespace simvisor {

void SecondaryMmus::SetLogging(bool on) {
  absl::MutexLock lock(&mu_);
  logging_ = on;
  granted_.Clear();
}

PfnSet SecondaryMmus::Granted() const {
  absl::MutexLock lock(&mu_);
  return granted_;
}

PfnSet SecondaryMmus::TakeGranted() {
  absl::MutexLock lock(&mu_);
  return std::exchange(granted_, {});
}

std::vector<PfnExtent> SecondaryMmus::WritableIn(const PfnSet* within) const {
  PfnSet writable;
  const auto add = [&writable](const MappingRun& run) {
    if (run.writable) writable.Add({run.pfn, run.count});
    return true;
  };
  absl::MutexLock lock(&mu_);
  for (const auto& [id, subscription] : subscriptions_) {
    const MappingRuns& records = subscription->records;
    if (records.writable() == PageCount(0)) continue;
    if (within == nullptr) {
      records.VisitIn(kEveryPfn, add);
      continue;
    }
    for (const auto& [first, end] : within->extents()) {
      records.VisitIn(ExtentBetween(first, end), add);
    }
  }
  std::vector<PfnExtent> extents;
  for (const auto& [first, end] : writable.extents()) {
    extents.push_back(ExtentBetween(first, end));
  }
  return extents;
}

MmuTotals SecondaryMmus::Totals() const {
  absl::MutexLock lock(&mu_);
  MmuTotals totals;
  for (const auto& [id, subscription] : subscriptions_) {
    totals.mapped += subscription->records.mapped();
  }
  totals.subscriptions = live_.load(std::memory_order_relaxed);
  totals.open_ranges = static_cast<uint32_t>(ranges_.active());
  totals.seq = ranges_.seq();
  totals.interval_seq = clock_.value();
  totals.fences = fences_;
  return totals;
}

std::vector<MmuInfo> SecondaryMmus::List(absl::Time now) const {
  absl::MutexLock lock(&mu_);
  std::vector<MmuInfo> list;
  for (const auto& [id, subscription] : subscriptions_) {
    list.push_back(subscription->Info(now));
  }
  return list;
}

absl::StatusOr<Pfn> SecondaryMmus::ListMappings(
    SubscriptionId id, Pfn from, size_t most,
    std::vector<MappingRun>& runs) const {
  absl::MutexLock lock(&mu_);
  const Subscription* shown = Find(id);
  if (shown == nullptr) {
    return Refuse("list of mappings", id, absl::StatusCode::kNotFound,
                  Reason::kSecondaryMmuNotFound,
                  "the domain has none with this number");
  }
  Pfn next = Pfn::None();
  shown->records.VisitIn(ExtentBetween(from, kEveryPfn.end()),
                         [&](const MappingRun& run) {
                           if (most == 0) {
                             next = run.pfn;
                             return false;
                           }
                           --most;
                           runs.push_back(run);
                           return true;
                         });
  return next;
}

void SecondaryMmus::Check(
    Findings& findings,
    absl::FunctionRef<void(const MappingRun&)> check_run) const {
  absl::MutexLock lock(&mu_);
  uint32_t live = 0;
  for (const auto& [id, subscription] : subscriptions_) {
    CheckSubscription(*subscription, findings);
    if (!subscription->ended()) ++live;
    subscription->records.VisitIn(kEveryPfn, [&](const MappingRun& run) {
      check_run(run);
      return true;
    });
  }
  for (const auto& [id, range] : ranges_.open())
    CheckRange(id, range, findings);
  if (live != live_.load(std::memory_order_relaxed)) {
    findings.Add(absl::StrCat("secondary MMUs: ", live,
                              " subscriptions live; counted ", live_.load()));
  }
  if (clock_.invalidating() && ranges_.active() == 0) {
    findings.Add(absl::StrCat("secondary MMUs: the sequence of intervals is ",
                              clock_.value(), ", but no range is open"));
  }
  if (live == 0 && !release_gates_.empty()) {
    findings.Add("secondary MMUs: a release waits for no subscription");
  }
}

void SecondaryMmus::CheckSubscription(const Subscription& checked,
                                      Findings& findings) const {
  const auto add = [&](absl::string_view what) {
    findings.Add(absl::StrCat("subscription ",
                              static_cast<uint64_t>(checked.id), ": ", what));
  };
  PageCount mapped, writable;
  checked.records.VisitIn(kEveryPfn, [&](const MappingRun& run) {
    mapped += run.count;
    if (run.writable) writable += run.count;
    if (!checked.ended() && !checked.intervals.Covers({run.pfn, run.count})) {
      add(absl::StrFormat("the mapping of pfn %#x is not watched",
                          run.pfn.value()));
    }
    return true;
  });
  if (mapped != checked.records.mapped() ||
      writable != checked.records.writable()) {
    add("its figures differ from its mappings");
  }
  if (checked.ended() && (!checked.records.empty() || !checked.owing.empty() ||
                          checked.faults.size() > 0)) {
    add("it has ended, but maps, owes or asks something");
  }
  if (checked.faults.size() > checked.spec.fault_window) {
    add("more faults are unanswered than its window allows");
  }
  if (checked.faults.parked() > 0 && ranges_.active() == 0) {
    add("a fault is parked, but no range is open");
  }
  for (const auto& [ev, owing] : checked.owing) {
    CheckOwing(checked, ev, owing.range, findings);
  }
}

void SecondaryMmus::CheckOwing(const Subscription& owing, uint64_t ev,
                               RangeId id, Findings& findings) const {
  if (id == Subscription::kRelease) {
    if (owing.released) return;
  } else if (const MmuRanges::Range* range = ranges_.Find(id)) {
    const bool awaited =
        range->pending.contains(owing.id) &&
        std::any_of(range->told.begin(), range->told.end(),
                    [&](const MmuRanges::Told& told) {
                      return told.id == owing.id && told.ev == ev;
                    });
    if (awaited) return;
  }
  findings.Add(absl::StrCat("subscription ", static_cast<uint64_t>(owing.id),
                            ": nothing waits for the answer to message ", ev));
}

void SecondaryMmus::CheckRange(RangeId id, const MmuRanges::Range& range,
                               Findings& findings) const {
  const auto add = [&](absl::string_view what) {
    findings.Add(absl::StrCat("range ", static_cast<uint64_t>(id), ": ", what));
  };
  for (const SubscriptionId number : range.pending) {
    const Subscription* awaited = Find(number);
    if (awaited == nullptr || awaited->ended()) {
      add("it waits for a subscription that has ended");
      continue;
    }
    if (awaited->released) continue;
    const bool owes = std::any_of(
        range.told.begin(), range.told.end(), [&](const auto& told) {
          return told.id == number && awaited->owing.contains(told.ev);
        });
    if (!owes)
      add("it waits for a subscription that was not told, or answered");
  }
  if (range.pending.empty() && range.gate != nullptr) {
    add("all have answered, but its gate is closed");
  }
  if (range.refused && range.blockable) add("it was refused, but must not be");
}

}  // namespace simvisor
