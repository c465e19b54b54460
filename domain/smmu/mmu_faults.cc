// Faults: how they are judged, parked and committed, and accesses through
// mappings.

#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/smmu/mmu_critical.h"
#include "domain/smmu/secondary_mmus.h"

namespace simvisor {
namespace {

bool NamesFrame(P2mWord word) {
  return word.Class() == P2mClass::kRam || word.Class() == P2mClass::kForeign;
}

}  // namespace

bool SecondaryMmus::IsInvalidating(const Subscription& subscription,
                                   Pfn pfn) const {
  if (subscription.spec.rule == RetryRule::kGlobal) {
    return ranges_.active() > 0;
  }
  const WatchedIntervals::Interval& interval =
      *subscription.intervals.Find(pfn);
  return interval.adding ||
         (ranges_.interval_hit() && interval.seq == ranges_.interval_seq());
}

bool SecondaryMmus::HasChanged(const Subscription& subscription,
                               const Subscription::Request& request) const {
  if (subscription.spec.rule == RetryRule::kGlobal) {
    return ranges_.active() > 0 || ranges_.seq() != request.sample;
  }
  const WatchedIntervals::Interval* const interval =
      subscription.intervals.Find(request.fault.pfn);
  return interval == nullptr || interval->pfns != request.interval ||
         interval->seq != request.sample;
}

void SecondaryMmus::Retry(Subscription& subscription, uint64_t req,
                          RetryCause cause) {
  ++subscription.figures.retries;
  if (cause == RetryCause::kThrottled) ++subscription.figures.throttled;
  Tell(subscription, mmu::Retry{req, cause});
}

uint32_t SecondaryMmus::CountAhead(const Subscription& subscription,
                                   const FaultRequest& fault,
                                   P2mWord first) const {
  const PfnExtent watched = subscription.intervals.Find(fault.pfn)->pfns;
  uint32_t count = 1;
  while (count <= fault.ahead) {
    const Pfn pfn = fault.pfn + PageCount(count);
    const P2mWord word = words_.Lookup(pfn);
    if (!watched.Contains(pfn) || word.Class() != first.Class() ||
        word.Number() != first.Number() + count) {
      break;
    }
    ++count;
  }
  return count;
}

void SecondaryMmus::Install(Subscription& subscription,
                            const FaultRequest& fault, Mfn mfn) {
  const P2mWord word = words_.Lookup(fault.pfn);
  const uint32_t count = CountAhead(subscription, fault, word);
  const MappingRun run = {fault.pfn, mfn, PageCount(count), fault.write};
  subscription.mapped.Add(run);
  if (logging_ && fault.write) granted_.Add({run.pfn, run.count});
  ++subscription.figures.installs;
  Tell(subscription,
       mmu::Installed{fault.req, fault.pfn, mfn, count, fault.write});
}

void SecondaryMmus::Judge(Subscription& subscription,
                          const FaultRequest& fault) {
  if (released_.has_value()) {
    Tell(subscription, mmu::FaultError{fault.req, Dying(subscription)});
    return;
  }
  const WatchedIntervals::Interval* const interval =
      subscription.intervals.Find(fault.pfn);
  if (interval == nullptr) {
    Tell(subscription,
         mmu::FaultError{fault.req, NotWatched(subscription, fault.pfn)});
    return;
  }
  const bool global = subscription.spec.rule == RetryRule::kGlobal;
  Subscription::Request request = {
      .fault = fault,
      .mfn = Mfn(),
      .sample = global ? ranges_.seq() : interval->seq,
      .interval = interval->pfns};
  if (IsInvalidating(subscription, fault.pfn)) {
    if (fault.two_step || !fault.wait) {
      return Retry(subscription, fault.req, RetryCause::kInvalidating);
    }
    ++subscription.figures.parked;
    subscription.parked[fault.req] = request;
    parked_.emplace_back(subscription.id, fault.req);
    return;
  }
  const P2mWord word = words_.Lookup(fault.pfn);
  if (!NamesFrame(word)) {
    Tell(subscription, mmu::NotMapped{fault.req, word.Class()});
    return;
  }
  const Mfn mfn(word.Number());
  if (!fault.two_step) return Install(subscription, fault, mfn);
  request.mfn = mfn;
  subscription.resolved[fault.req] = request;
  Tell(subscription, mmu::Resolved{fault.req, mfn, request.sample});
}

absl::Status SecondaryMmus::Fault(SubscriptionId id,
                                  const FaultRequest& request) {
  const Critical critical(this);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * found, FindLive(id));
  ++found->figures.faults;
  if (found->resolved.contains(request.req) ||
      found->parked.contains(request.req)) {
    return BreaksProtocol(
        *found,
        absl::StrFormat("fault %d: this number is still in use", request.req));
  }
  if (request.ahead > MmuLimits::kMaxAhead) {
    return BreaksProtocol(
        *found,
        absl::StrFormat("fault %d asks for %d pages ahead; it may ask "
                        "for %d",
                        request.req, request.ahead, MmuLimits::kMaxAhead));
  }
  if (found->resolved.size() + found->parked.size() >=
      found->spec.fault_window) {
    Retry(*found, request.req, RetryCause::kThrottled);
    return absl::OkStatus();
  }
  Judge(*found, request);
  return absl::OkStatus();
}

absl::Status SecondaryMmus::Commit(SubscriptionId id, uint64_t req) {
  const Critical critical(this);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * found, FindLive(id));
  const auto at = found->resolved.find(req);
  if (at == found->resolved.end()) {
    Tell(*found,
         mmu::FaultError{
             req,
             Refuse(*found, absl::StatusCode::kNotFound, Reason::kFaultNotFound,
                    absl::StrFormat("no fault %d is resolved; send it "
                                    "first, and commit it once",
                                    req))});
    return absl::OkStatus();
  }
  const Subscription::Request request = at->second;
  found->resolved.erase(at);
  if (released_.has_value()) {
    Tell(*found, mmu::FaultError{req, Dying(*found)});
  } else if (HasChanged(*found, request)) {
    Retry(*found, req, RetryCause::kChanged);
  } else {
    Install(*found, request.fault, request.mfn);
  }
  return absl::OkStatus();
}

absl::StatusOr<Mfn> SecondaryMmus::CheckAccess(SubscriptionId id, Pfn pfn,
                                               bool write) {
  const Critical critical(this);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * found, FindLive(id));
  const std::optional<MappingRun> run = found->mapped.Find(pfn);
  if (!run.has_value()) {
    ++found->figures.stale_accesses;
    return Refuse(
        *found, absl::StatusCode::kFailedPrecondition, Reason::kMappingStale,
        absl::StrFormat("it does not map pfn 0x%x; fault it in", pfn.value()));
  }
  if (write && !run->writable) {
    return Refuse(*found, absl::StatusCode::kFailedPrecondition,
                  Reason::kMappingReadOnly,
                  absl::StrFormat("it maps pfn 0x%x only to read; fault it in "
                                  "for writing",
                                  pfn.value()));
  }
  return run->mfn;
}

void SecondaryMmus::AnswerAccess(SubscriptionId id, mmu::Accessed answer) {
  const Critical critical(this);
  Subscription* const found = Find(id);
  if (found != nullptr && found->stays()) Tell(*found, std::move(answer));
}

}  // namespace simvisor
