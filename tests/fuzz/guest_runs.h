// The runs of a guest's p2m list.

#ifndef SIMVISOR_TESTS_FUZZ_GUEST_RUNS_H_
#define SIMVISOR_TESTS_FUZZ_GUEST_RUNS_H_

#include <cstdint>
#include <vector>

#include "domain/vm/domain.h"

namespace simvisor {

// All runs, merged by class.
inline std::vector<P2mRun> RunsOf(Domain& domain) {
  std::vector<P2mRun> runs;
  uint64_t generation = 0;
  for (Pfn at(0); true;) {
    const auto next =
        domain.p2m().ListRuns(at, Pfn::None(), P2mView::kResolved,
                              RunMerge::kByClass, 4096, runs, &generation);
    if (!next.ok() || *next == at) return runs;
    at = *next;
  }
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_FUZZ_GUEST_RUNS_H_
