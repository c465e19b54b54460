// The mappings that one secondary MMU has, pfn -> mfn, as runs.
//
// Runs do not overlap.  Neighbours that continue each other are one run.
//
// Thread safety: thread-compatible; SecondaryMmus serialises with its mutex.

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
  // Records mappings; they replace those that their pfns had.
  // REQUIRES: run.count > 0.
  void Add(const MappingRun& run);
  // Removes the mappings of `pfns`, and returns how many there were.
  PageCount Remove(PfnExtent pfns);
  // Takes write access away from the mappings of `pfns`; returns how many had
  // it.
  PageCount MakeReadOnly(PfnExtent pfns);
  void Clear();

  // The mapping of one pfn.
  std::optional<MappingRun> Find(Pfn pfn) const;
  // Whether a pfn of `pfns` is mapped, or mapped writable.
  bool Touches(PfnExtent pfns, bool writable_only) const;
  // Calls visit(run) for the parts of runs in `pfns`, in the order of pfns.
  void ForEachIn(PfnExtent pfns,
                 absl::FunctionRef<void(const MappingRun&)> visit) const;
  // Appends runs from `from` on, at most `most`; returns the pfn to go on from,
  // None() at the end.
  Pfn List(Pfn from, size_t most, std::vector<MappingRun>& runs) const;

  PageCount pages() const { return pages_; }
  PageCount writable() const { return writable_; }
  size_t size() const { return runs_.size(); }

 private:
  struct Rest {
    Mfn mfn;
    PageCount count;
    bool writable;
  };
  using Runs = absl::btree_map<Pfn, Rest>;

  static MappingRun RunOf(Runs::const_iterator at);
  // The first run that ends after `pfn`.
  Runs::const_iterator FirstAfter(Pfn pfn) const;
  // Takes the parts of runs in `pfns` out.
  std::vector<MappingRun> Cut(PfnExtent pfns);
  void Insert(const MappingRun& run);

  Runs runs_;
  PageCount pages_;
  PageCount writable_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_MAPPING_RUNS_H_
