#include "domain/smmu/pending_faults.h"

#include <algorithm>
#include <utility>

namespace simvisor {

bool PendingFaults::Uses(uint64_t req) const {
  return resolved_.contains(req) ||
         std::any_of(
             parked_.begin(), parked_.end(),
             [req](const FaultRequest& parked) { return parked.req == req; });
}

std::optional<PendingFaults::Resolved> PendingFaults::TakeResolved(
    uint64_t req) {
  const auto at = resolved_.find(req);
  if (at == resolved_.end()) return std::nullopt;
  const Resolved fault = at->second;
  resolved_.erase(at);
  return fault;
}

std::vector<FaultRequest> PendingFaults::TakeParked() {
  std::vector<FaultRequest> parked(parked_.begin(), parked_.end());
  parked_.clear();
  return parked;
}

std::vector<FaultRequest> PendingFaults::TakeParkedIn(PfnExtent pfns) {
  std::vector<FaultRequest> taken;
  std::deque<FaultRequest> kept;
  for (const FaultRequest& request : parked_) {
    if (pfns.Contains(request.pfn)) {
      taken.push_back(request);
    } else {
      kept.push_back(request);
    }
  }
  parked_ = std::move(kept);
  return taken;
}

void PendingFaults::Clear() {
  resolved_.clear();
  parked_.clear();
}

}  // namespace simvisor
