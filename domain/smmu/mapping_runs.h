// What one secondary MMU has mapped, as the daemon has recorded it.
//
// Mappings of consecutive pfns to consecutive frames with the same protection
// are one run; runs are split and merged as they change.  So memory grows with
// the number of runs, not of pages.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_SMMU_MAPPING_RUNS_H_
#define SIMVISOR_DOMAIN_SMMU_MAPPING_RUNS_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/functional/function_ref.h"
#include "domain/smmu/mmu_types.h"
#include "domain/units/units.h"

namespace simvisor {

class MappingRuns {
 public:
  // Records a run, which replaces what is recorded of its pfns.
  // REQUIRES: it is not empty.
  void Record(const MappingRun& run);
  // Forgets the mappings of `pfns`; returns how many there were.
  PageCount Remove(PfnExtent pfns);
  // Makes the mappings of `pfns` read-only; returns how many were writable.
  PageCount Protect(PfnExtent pfns);
  void Clear();

  // The mapping of one pfn, if there is one.
  std::optional<MappingRun> Find(Pfn pfn) const;
  // Whether some of `pfns` is mapped, or mapped writable.
  bool Meets(PfnExtent pfns, bool writable) const;
  // Calls `visit` with each run in `pfns`, cut to them, in ascending order,
  // until it returns false.
  void VisitIn(PfnExtent pfns,
               absl::FunctionRef<bool(const MappingRun&)> visit) const;

  PageCount mapped() const { return mapped_; }
  PageCount writable() const { return writable_; }
  size_t runs() const { return runs_.size(); }
  bool empty() const { return runs_.empty(); }

 private:
  struct Rest {
    Mfn mfn;
    PageCount count;
    bool writable;
  };
  using Runs = absl::btree_map<Pfn, Rest>;

  // Adds a run whose pfns are free, merged with its neighbours.
  void Add(MappingRun run);

  Runs runs_;  // by first pfn; they neither overlap nor continue each other
  PageCount mapped_, writable_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_MAPPING_RUNS_H_
