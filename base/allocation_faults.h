// Lets a test make chosen allocations fail.
//
// Everything that can run out asks here before it allocates: a test that
// injects an AllocationFaults counts the allocations of an operation and then
// fails the first one, the second one, and so on.  In production the
// AllocationFaults is null or armed nowhere, and an allocation fails only if
// the resource has run out.
//
// Thread safety: the methods may be called from any thread, under the locks of
// domains and of the frame pool, so they must not call back into them.

#ifndef SIMVISOR_BASE_ALLOCATION_FAULTS_H_
#define SIMVISOR_BASE_ALLOCATION_FAULTS_H_

namespace simvisor {

enum class AllocationSite {
  // A page that a guest's kernel takes for its own use or for its balloon.
  kGuestPage,
  // A frame of the machine, or all frames of a claim that is granted whole or
  // not at all.
  kFrame,
  // Address space of the daemon, for the words of a p2m list or of the m2p.
  kAddressSpace,
  // Memory for the contents of a page, or of all pages that one call writes.
  kContents,
  // A subscription of a secondary MMU.
  kSecondaryMmu,
};

class AllocationFaults {
 public:
  virtual ~AllocationFaults() = default;

  // Whether FailNow(site) may return true now.  Asked before many allocations
  // in a row: if it may not, they need not be made one by one.
  virtual bool MayFail(AllocationSite) const { return true; }

  // Called once per allocation; if it returns true, the allocation fails as if
  // the resource had run out.
  virtual bool FailNow(AllocationSite site) = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_BASE_ALLOCATION_FAULTS_H_
