// Faults: what a secondary MMU may map, and by which rule a fault waits.

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/smmu/secondary_mmus.h"
#include "domain/smmu/seeded_mistakes.h"
#include "domain/smmu/subscription.h"

namespace simvisor {

absl::Status SecondaryMmus::ReleasedError(absl::string_view operation,
                                          SubscriptionId id) const {
  if (release_->reason == ReleaseReason::kShutdown) {
    return Refuse(operation, id, absl::StatusCode::kFailedPrecondition,
                  Reason::kSecondaryMmuNotAttached,
                  "the daemon ends; subscribe when it is back");
  }
  return Refuse(operation, id, absl::StatusCode::kFailedPrecondition,
                Reason::kDomainDying,
                release_->reason == ReleaseReason::kMigrated
                    ? "the domain has moved to another host"
                    : "the domain is being destroyed");
}

absl::Status SecondaryMmus::Fault(SubscriptionId id,
                                  const FaultRequest& request) {
  Step step(&mu_, &signals_);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * from,
                            Attached("secondary MMU fault", id));
  if (request.ahead > MmuLimits::kMaxAhead) {
    return BreakProtocol(
        "secondary MMU fault", *from,
        absl::StrCat("it asks for ", request.ahead, " pages ahead; at most ",
                     MmuLimits::kMaxAhead, " may be"));
  }
  if (from->faults.Uses(request.req)) {
    return BreakProtocol(
        "secondary MMU fault", *from,
        absl::StrCat("request ", request.req, " is in use; choose another"));
  }
  ++from->counters.faults;
  AnswerFault(*from, request);
  return absl::OkStatus();
}

void SecondaryMmus::AnswerFault(Subscription& to, const FaultRequest& request) {
  if (release_.has_value()) {
    Send(to, mmu::FaultError{request.req,
                             ReleasedError("secondary MMU fault", to.id)});
    return;
  }
  const IntervalIndex::Interval* interval = to.intervals.Find(request.pfn);
  if (interval == nullptr) {
    SendNotWatched(to, request.req, request.pfn);
  } else if (to.faults.size() >= to.spec.fault_window) {
    SendRetry(to, request.req, RetryCause::kThrottled);
  } else if (IsInvalidating(to, *interval)) {
    if (!request.wait || request.two_step) {
      SendRetry(to, request.req, RetryCause::kInvalidating);
      return;
    }
    ++to.counters.parked;
    to.faults.Park(request);
  } else {
    Resolve(to, request, *interval);
  }
}

void SecondaryMmus::Resolve(Subscription& to, const FaultRequest& request,
                            const IntervalIndex::Interval& interval) {
  const P2mWord word = words_.Lookup(request.pfn);
  const P2mClass p2m_class = word.Class();
  if (p2m_class != P2mClass::kRam && p2m_class != P2mClass::kForeign) {
    Send(to, mmu::NotMapped{request.req, p2m_class});
    return;
  }
  const MappingRun run = RunFor(to, request, word, interval);
  if (!request.two_step) {
    Install(to, request.req, run);
    return;
  }
  const uint64_t seq =
      to.spec.rule == RetryRule::kGlobal ? ranges_.seq() : interval.seq;
  to.faults.Resolve(request.req, {run, seq, interval.serial});
  Send(to, mmu::Resolved{request.req, run.mfn, seq});
}

MappingRun SecondaryMmus::RunFor(
    const Subscription& to, const FaultRequest& request, P2mWord word,
    const IntervalIndex::Interval& interval) const {
  MappingRun run = {request.pfn, Mfn(word.Number()), PageCount(1),
                    request.write};
  while (run.count.value() <= request.ahead) {
    const Pfn next = run.pfn + run.count;
    const bool watched =
        interval.pfns.Contains(next) || (to.spec.rule == RetryRule::kGlobal &&
                                         to.intervals.Find(next) != nullptr);
    if (!watched) break;
    const P2mWord found = words_.Lookup(next);
    if (found.Class() != word.Class() ||
        Mfn(found.Number()) != run.mfn + run.count) {
      break;
    }
    run.count += PageCount(1);
  }
  return run;
}

bool SecondaryMmus::IsInvalidating(
    const Subscription& to, const IntervalIndex::Interval& interval) const {
  if (to.spec.rule == RetryRule::kGlobal) return ranges_.active() > 0;
  return clock_.invalidating() && interval.seq == clock_.value();
}

absl::Status SecondaryMmus::Commit(SubscriptionId id, uint64_t req) {
  Step step(&mu_, &signals_);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * from,
                            Attached("secondary MMU commit", id));
  const auto fault = from->faults.TakeResolved(req);
  if (release_.has_value()) {
    Send(*from,
         mmu::FaultError{req, ReleasedError("secondary MMU commit", id)});
  } else if (!fault.has_value()) {
    Send(*from,
         mmu::FaultError{
             req, Refuse("secondary MMU commit", id,
                         absl::StatusCode::kNotFound, Reason::kFaultNotFound,
                         absl::StrCat("no fault with request ", req,
                                      " is resolved; send it first"))});
  } else if (HasChanged(*from, *fault)) {
    SendRetry(*from, req, RetryCause::kChanged);
  } else {
    Install(*from, req, fault->run);
  }
  return absl::OkStatus();
}

bool SecondaryMmus::HasChanged(const Subscription& from,
                               const PendingFaults::Resolved& fault) const {
  if (from.spec.rule == RetryRule::kGlobal) {
    const bool closed =
        ranges_.seq() != fault.seq && !IsSeeded(SeededMistake::kNoRetryOnSeq);
    return ranges_.active() > 0 || closed;
  }
  const IntervalIndex::Interval* interval = from.intervals.Find(fault.run.pfn);
  return interval == nullptr || interval->serial != fault.interval ||
         interval->seq != fault.seq;
}

void SecondaryMmus::SendRetry(Subscription& to, uint64_t req,
                              RetryCause cause) {
  ++to.counters.retries;
  if (cause == RetryCause::kThrottled) ++to.counters.throttled;
  Send(to, mmu::Retry{req, cause});
}

void SecondaryMmus::SendNotWatched(Subscription& to, uint64_t req, Pfn pfn) {
  Send(to,
       mmu::FaultError{
           req, Refuse("secondary MMU fault", to.id,
                       absl::StatusCode::kOutOfRange, Reason::kPfnNotWatched,
                       absl::StrFormat("pfn %#x is in no interval of it; "
                                       "watch one around it first",
                                       pfn.value()))});
}

void SecondaryMmus::Install(Subscription& to, uint64_t req,
                            const MappingRun& run) {
  to.records.Record(run);
  if (run.writable && logging_) granted_.Add({run.pfn, run.count});
  ++to.counters.installs;
  Send(to,
       mmu::Installed{req, run.pfn, run.mfn,
                      static_cast<uint32_t>(run.count.value()), run.writable});
}

absl::Status SecondaryMmus::DropMappings(SubscriptionId id,
                                         absl::Span<const PfnExtent> pfns) {
  Step step(&mu_, &signals_);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * from,
                            Attached("secondary MMU drop", id));
  for (const PfnExtent extent : pfns) {
    if (FitsWithin(extent.first, extent.count, kEveryPfn.end())) {
      from->records.Remove(extent);
    }
  }
  return absl::OkStatus();
}

absl::Status SecondaryMmus::Watch(SubscriptionId id, uint64_t req,
                                  PfnExtent pfns) {
  constexpr absl::string_view kOperation = "watch";
  Step step(&mu_, &signals_);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * from, Attached(kOperation, id));
  if (from->spec.rule != RetryRule::kInterval) {
    return BreakProtocol(kOperation, *from,
                         "its rule is not `interval`; it watches what it "
                         "registered with");
  }
  absl::string_view problem;
  if (pfns.empty() || !FitsWithin(pfns.first, pfns.count, kEveryPfn.end())) {
    problem = "the interval is empty or too large";
  } else if (from->intervals.Overlaps(pfns)) {
    problem = "the interval overlaps another of it; unwatch that first";
  } else if (from->intervals.size() >= MmuLimits::kMaxIntervals) {
    problem = "it watches 1024 intervals, the most; unwatch some first";
  }
  if (!problem.empty()) {
    return Refuse(kOperation, id, absl::StatusCode::kInvalidArgument,
                  Reason::kRangeInvalid, problem);
  }
  const bool deferred =
      from->intervals.Watch(pfns, ranges_.active() > 0, clock_);
  Send(*from, mmu::Watched{req, deferred});
  return absl::OkStatus();
}

absl::Status SecondaryMmus::Unwatch(SubscriptionId id, uint64_t req,
                                    PfnExtent pfns) {
  constexpr absl::string_view kOperation = "unwatch";
  Step step(&mu_, &signals_);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * from, Attached(kOperation, id));
  if (from->spec.rule != RetryRule::kInterval) {
    return BreakProtocol(kOperation, *from,
                         "its rule is not `interval`; it watches what it "
                         "registered with");
  }
  const auto unwatched = from->intervals.Unwatch(pfns, clock_, req);
  if (unwatched == IntervalIndex::Unwatched::kNotFound) {
    return Refuse(kOperation, id, absl::StatusCode::kOutOfRange,
                  Reason::kPfnNotWatched,
                  absl::StrFormat("[%#x, %#x) is not an interval of it",
                                  pfns.first.value(), pfns.end().value()));
  }
  from->records.Remove(pfns);
  for (const FaultRequest& parked : from->faults.TakeParkedIn(pfns)) {
    SendNotWatched(*from, parked.req, parked.pfn);
  }
  if (unwatched == IntervalIndex::Unwatched::kDone) {
    Send(*from, mmu::Unwatched{req});
  }
  return absl::OkStatus();
}

absl::StatusOr<Mfn> SecondaryMmus::CheckAccess(SubscriptionId id, Pfn pfn,
                                               bool write) {
  constexpr absl::string_view kOperation = "access";
  absl::MutexLock lock(&mu_);
  SIMVISOR_ASSIGN_OR_RETURN(Subscription * from, Attached(kOperation, id));
  const std::optional<MappingRun> mapping = from->records.Find(pfn);
  if (!mapping.has_value()) {
    ++from->counters.stale_accesses;
    return Refuse(kOperation, id, absl::StatusCode::kFailedPrecondition,
                  Reason::kMappingStale,
                  absl::StrFormat("pfn %#x is not mapped; fault it in first",
                                  pfn.value()));
  }
  if (write && !mapping->writable) {
    return Refuse(
        kOperation, id, absl::StatusCode::kFailedPrecondition,
        Reason::kMappingReadOnly,
        absl::StrFormat("pfn %#x is mapped read-only; fault it in for writing",
                        pfn.value()));
  }
  return mapping->mfn;
}

void SecondaryMmus::Answer(SubscriptionId id, mmu::Body answer) {
  Step step(&mu_, &signals_);
  Subscription* to = Find(id);
  if (to != nullptr && to->state == SubscriptionState::kLive) {
    Send(*to, std::move(answer));
  }
}

}  // namespace simvisor
