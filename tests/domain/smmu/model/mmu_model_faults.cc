// How the model judges faults.

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "tests/domain/smmu/model/mmu_model.h"

namespace simvisor {

const MmuModel::Interval* MmuModel::FindInterval(const Subscription& sub,
                                                 uint64_t pfn) const {
  for (const Interval& interval : sub.intervals) {
    if (!interval.removing && interval.pfns.Contains(Pfn(pfn))) {
      return &interval;
    }
  }
  return nullptr;
}

bool MmuModel::IsWatched(const Subscription& sub, uint64_t pfn) const {
  if (sub.spec.rule == RetryRule::kInterval) {
    return FindInterval(sub, pfn) != nullptr;
  }
  const std::vector<PfnExtent>& watched = sub.spec.intervals;
  return watched.empty() ||
         std::any_of(watched.begin(), watched.end(),
                     [&](PfnExtent pfns) { return pfns.Contains(Pfn(pfn)); });
}

bool MmuModel::IsStopped(const Subscription& sub, uint64_t pfn) const {
  if (sub.spec.rule == RetryRule::kGlobal) return !ranges_.empty();
  const Interval* const interval = FindInterval(sub, pfn);
  return interval->adding || (iseq_ % 2 == 1 && interval->seq == iseq_);
}

uint64_t MmuModel::SampleFor(const Subscription& sub, uint64_t pfn) const {
  if (sub.spec.rule == RetryRule::kGlobal) return seq_;
  return FindInterval(sub, pfn)->seq;
}

bool MmuModel::HasChanged(const Subscription& sub,
                          const Request& request) const {
  const uint64_t pfn = request.fault.pfn.value();
  if (sub.spec.rule == RetryRule::kGlobal) {
    return !ranges_.empty() || seq_ != request.sample;
  }
  const Interval* const interval = FindInterval(sub, pfn);
  return interval == nullptr || interval->key != request.interval ||
         interval->seq != request.sample;
}

MmuModel::Result MmuModel::Fault(uint64_t id, const FaultRequest& request) {
  if (Result result = Attached(id); !result.empty()) return result;
  Subscription& sub = subs_[id];
  const bool in_use = std::any_of(
      sub.requests.begin(), sub.requests.end(),
      [&](const Request& other) { return other.fault.req == request.req; });
  if (in_use || request.ahead > MmuLimits::kMaxAhead) return Protocol(id);
  const uint64_t pfn = request.pfn.value();
  if (dying_) {
    FailDying(sub, request.req);
  } else if (!IsWatched(sub, pfn)) {
    FailFault(sub, request.req, absl::StatusCode::kOutOfRange,
              Reason::kPfnNotWatched);
  } else if (sub.requests.size() >= sub.spec.fault_window) {
    Send(sub, mmu::Retry{.req = request.req, .cause = RetryCause::kThrottled});
  } else if (!IsStopped(sub, pfn)) {
    Resolve(sub, request);
  } else if (request.wait && !request.two_step) {
    sub.requests.push_back({.fault = request, .parked = true});
  } else {
    Send(sub,
         mmu::Retry{.req = request.req, .cause = RetryCause::kInvalidating});
  }
  return "";
}

void MmuModel::Resolve(Subscription& sub, const FaultRequest& fault) {
  const uint64_t pfn = fault.pfn.value();
  const P2mWord word = words_(pfn);
  const P2mClass p2m_class = word.Class();
  if (p2m_class == P2mClass::kMissing || p2m_class == P2mClass::kIdentity) {
    Send(sub, mmu::NotMapped{.req = fault.req, .p2m_class = p2m_class});
    return;
  }
  Request request = {.fault = fault,
                     .sample = SampleFor(sub, pfn),
                     .mfn = word.Number(),
                     .count = CountAhead(sub, fault)};
  if (!fault.two_step) {
    Install(sub, request);
    return;
  }
  if (sub.spec.rule == RetryRule::kInterval) {
    request.interval = FindInterval(sub, pfn)->key;
  }
  sub.requests.push_back(request);
  Send(sub,
       mmu::Resolved{
           .req = fault.req, .mfn = Mfn(word.Number()), .seq = request.sample});
}

uint64_t MmuModel::CountAhead(const Subscription& sub,
                              const FaultRequest& fault) const {
  const uint64_t first = fault.pfn.value();
  const P2mWord word = words_(first);
  uint64_t count = 1;
  for (; count <= fault.ahead; ++count) {
    const uint64_t pfn = first + count;
    const bool continues = words_(pfn).Class() == word.Class() &&
                           words_(pfn).Number() == word.Number() + count &&
                           IsWatched(sub, pfn) && !IsStopped(sub, pfn) &&
                           SameInterval(sub, first, pfn);
    if (!continues) break;
  }
  return count;
}

void MmuModel::Install(Subscription& sub, const Request& request) {
  const FaultRequest& fault = request.fault;
  for (uint64_t i = 0; i < request.count; ++i) {
    const uint64_t pfn = fault.pfn.value() + i;
    sub.mappings[pfn] = {.mfn = request.mfn + i, .writable = fault.write};
    if (fault.write && logging_) granted_.insert(pfn);
  }
  Send(sub, mmu::Installed{.req = fault.req,
                           .pfn = fault.pfn,
                           .mfn = Mfn(request.mfn),
                           .count = static_cast<uint32_t>(request.count),
                           .writable = fault.write});
}

bool MmuModel::SameInterval(const Subscription& sub, uint64_t a,
                            uint64_t b) const {
  return sub.spec.rule == RetryRule::kGlobal ||
         FindInterval(sub, a) == FindInterval(sub, b);
}

MmuModel::Result MmuModel::Commit(uint64_t id, uint64_t req) {
  if (Result result = Attached(id); !result.empty()) return result;
  Subscription& sub = subs_[id];
  const auto found = std::find_if(
      sub.requests.begin(), sub.requests.end(), [&](const Request& other) {
        return other.fault.req == req && !other.parked;
      });
  Request request;
  const bool known = found != sub.requests.end();
  if (known) {
    request = *found;
    sub.requests.erase(found);
  }
  if (dying_) {
    FailDying(sub, req);
  } else if (!known) {
    FailFault(sub, req, absl::StatusCode::kNotFound, Reason::kFaultNotFound);
  } else if (HasChanged(sub, request)) {
    Send(sub, mmu::Retry{.req = req, .cause = RetryCause::kChanged});
  } else {
    Install(sub, request);
  }
  return "";
}

// --- Intervals ---------------------------------------------------------------

MmuModel::Result MmuModel::Watch(uint64_t id, uint64_t req, PfnExtent pfns) {
  if (Result result = Attached(id); !result.empty()) return result;
  Subscription& sub = subs_[id];
  if (sub.spec.rule != RetryRule::kInterval) return Protocol(id);
  const bool overlaps = std::any_of(
      sub.intervals.begin(), sub.intervals.end(), [&](const Interval& other) {
        return !other.removing && pfns.first < other.pfns.end() &&
               other.pfns.first < pfns.end();
      });
  if (pfns.empty() || overlaps ||
      sub.intervals.size() >= MmuLimits::kMaxIntervals) {
    const absl::string_view name = ReasonName(Reason::kRangeInvalid);
    return {name.data(), name.size()};
  }
  Interval interval = {.key = ++last_interval_, .pfns = pfns};
  if (ranges_.empty()) {
    interval.seq = iseq_ - 1;
  } else if (iseq_ % 2 == 0) {
    interval.seq = ++iseq_;
  } else {
    interval.adding = true;
  }
  sub.intervals.push_back(interval);
  Send(sub, mmu::Watched{.req = req, .deferred = interval.adding});
  return "";
}

MmuModel::Result MmuModel::Unwatch(uint64_t id, uint64_t req, PfnExtent pfns) {
  if (Result result = Attached(id); !result.empty()) return result;
  Subscription& sub = subs_[id];
  if (sub.spec.rule != RetryRule::kInterval) return Protocol(id);
  const auto found = std::find_if(
      sub.intervals.begin(), sub.intervals.end(), [&](const Interval& other) {
        return !other.removing && other.pfns == pfns;
      });
  if (found == sub.intervals.end()) {
    const absl::string_view name = ReasonName(Reason::kPfnNotWatched);
    return {name.data(), name.size()};
  }
  std::erase_if(sub.mappings, [&](const auto& mapping) {
    return pfns.Contains(Pfn(mapping.first));
  });
  std::erase_if(sub.requests, [&](const Request& request) {
    if (!request.parked || !pfns.Contains(request.fault.pfn)) return false;
    FailFault(sub, request.fault.req, absl::StatusCode::kOutOfRange,
              Reason::kPfnNotWatched);
    return true;
  });
  if (iseq_ % 2 == 1 && !found->adding) {
    found->removing = true;
    sub.unwatches.push_back(req);
    return "";
  }
  sub.intervals.erase(found);
  Send(sub, mmu::Unwatched{.req = req});
  return "";
}

}  // namespace simvisor
