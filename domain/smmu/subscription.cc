#include "domain/smmu/subscription.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "domain/smmu/seeded_mistakes.h"

namespace simvisor {
namespace {

// Messages that a client has taken and may still ask for again, besides those
// that a window of faults brings.
constexpr size_t kKeptMessages = 1024;

size_t MessagesToKeep(const MmuSpec& spec) {
  return spec.resumable ? kKeptMessages + 4 * size_t{spec.fault_window} : 0;
}

// Hard to guess, so that a client cannot take over another's subscription.
std::string NewToken() {
  std::random_device random;
  std::string token;
  for (int i = 0; i < 4; ++i) {
    absl::StrAppend(&token, absl::Hex(random(), absl::kZeroPad8));
  }
  return token;
}

}  // namespace

Subscription::Subscription(MmuSpec wanted, MmuQuota::Place taken,
                           std::shared_ptr<MmuSignal> its_signal,
                           SecondaryMmu* its_object)
    : id(taken.id()),
      spec(std::move(wanted)),
      token(spec.resumable ? NewToken() : ""),
      object(its_object),
      signal(std::move(its_signal)),
      queue(MessagesToKeep(spec)),
      place_(std::move(taken)) {}

bool Subscription::IsConcerned(absl::Span<const PfnExtent> pfns,
                               InvalidateReason reason) const {
  if (!intervals.Meets(pfns)) return false;
  return spec.events == EventFilter::kAll || HasMappings(pfns, reason);
}

bool Subscription::HasMappings(absl::Span<const PfnExtent> pfns,
                               InvalidateReason reason) const {
  if (records.empty()) return false;
  const bool writable = reason == InvalidateReason::kProtect;
  return std::any_of(pfns.begin(), pfns.end(),
                     [this, writable](PfnExtent extent) {
                       return records.Meets(extent, writable);
                     });
}

void Subscription::Invalidate(absl::Span<const PfnExtent> pfns,
                              InvalidateReason reason) {
  for (const PfnExtent extent : pfns) {
    counters.invalidated += reason == InvalidateReason::kProtect
                                ? records.Protect(extent)
                                : records.Remove(extent);
  }
}

void Subscription::NoteAnswer(uint64_t ev, absl::Time now) {
  const auto at = owing.find(ev);
  if (at == owing.end()) return;
  counters.max_answer = std::max(counters.max_answer, now - at->second.since);
  owing.erase(at);
  queue.Confirm(ev);
  if (owing.empty()) RenewLease(now);
}

void Subscription::RenewLease(absl::Time now) {
  if (object == nullptr) lease_until = now + spec.lease;
}

void Subscription::End(SubscriptionState end) {
  state = end;
  if (!IsSeeded(SeededMistake::kFenceKeepsRecords) ||
      end != SubscriptionState::kFenced) {
    records.Clear();
  }
  intervals.Clear();
  faults.Clear();
  owing.clear();
  young_asked.clear();
  queue.KeepNothing();
  lease_until = absl::InfiniteFuture();
  place_ = MmuQuota::Place();
}

MmuInfo Subscription::Info(absl::Time now) const {
  MmuInfo info;
  info.id = id;
  info.name = spec.name;
  info.state = state;
  info.rule = spec.rule;
  info.events = spec.events;
  info.in_process = object != nullptr;
  info.intervals = intervals.Extents();
  if (info.intervals == std::vector<PfnExtent>{kEveryPfn}) {
    info.intervals.clear();
  }
  info.mapped = records.mapped();
  info.writable = records.writable();
  info.mapped_runs = records.runs();
  info.faults = counters.faults;
  info.installs = counters.installs;
  info.retries = counters.retries;
  info.throttled = counters.throttled;
  info.parked = counters.parked;
  info.begins = counters.begins;
  info.ends = counters.ends;
  info.aborts = counters.aborts;
  info.stale_accesses = counters.stale_accesses;
  info.invalidated = counters.invalidated;
  info.unanswered_events = static_cast<uint32_t>(owing.size());
  // The first is the oldest.
  if (!owing.empty()) {
    info.oldest_unanswered = now - owing.begin()->second.since;
  }
  info.max_answer = counters.max_answer;
  if (object == nullptr && !ended()) {
    info.lease_left = std::max(lease_until - now, absl::ZeroDuration());
  }
  return info;
}

}  // namespace simvisor
