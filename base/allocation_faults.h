// Where an allocation may be made to fail, for tests.
//
// Everything that can run out asks here before it gives: a test that injects an
// AllocationFaults counts the allocations of an operation and then lets the
// first fail, the second, and so on.  Unless faults are injected on purpose
// there is none, and what is really there decides alone.
//
// Thread safety: FailNow() may be called from any thread, under the locks of
// domains and of the frame pool, so it must not call back into them.

#ifndef SIMVISOR_BASE_ALLOCATION_FAULTS_H_
#define SIMVISOR_BASE_ALLOCATION_FAULTS_H_

namespace simvisor {

enum class AllocationSite {
  // A page that a guest's kernel takes for itself or for its balloon.
  kGuestPage,
  // A frame of the machine, or all the frames of a claim that is granted whole
  // or not at all.
  kFrame,
  // Address space of the daemon, for the words of a p2m list or of the m2p.
  kAddressSpace,
  // Memory for what a page holds, or for all the pages that one call writes.
  kContents,
};

class AllocationFaults {
 public:
  virtual ~AllocationFaults() = default;

  // Asked once for each allocation; true makes it fail as if nothing were left.
  virtual bool FailNow(AllocationSite site) = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_BASE_ALLOCATION_FAULTS_H_
