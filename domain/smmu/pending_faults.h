// The faults of one subscription that wait: for a commit, or parked until no
// range stops them.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_SMMU_PENDING_FAULTS_H_
#define SIMVISOR_DOMAIN_SMMU_PENDING_FAULTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "domain/smmu/mmu_types.h"
#include "domain/units/units.h"

namespace simvisor {

class PendingFaults {
 public:
  // A fault whose commit is awaited.
  struct Resolved {
    MappingRun run;
    uint64_t seq;       // the sample
    uint64_t interval;  // serial of the interval; kInterval only
  };

  bool Uses(uint64_t req) const;
  size_t size() const { return resolved_.size() + parked_.size(); }
  size_t parked() const { return parked_.size(); }

  void Resolve(uint64_t req, Resolved fault) { resolved_[req] = fault; }
  std::optional<Resolved> TakeResolved(uint64_t req);
  void Park(const FaultRequest& request) { parked_.push_back(request); }
  // All parked faults in the order in which they came.
  std::vector<FaultRequest> TakeParked();
  // Those in `pfns`.
  std::vector<FaultRequest> TakeParkedIn(PfnExtent pfns);
  void Clear();

 private:
  absl::btree_map<uint64_t, Resolved> resolved_;
  std::deque<FaultRequest> parked_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_PENDING_FAULTS_H_
