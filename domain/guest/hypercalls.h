// All that a guest may ask of the hypervisor.
//
// Each method stands for the hypercall that its comment names, so a guest can
// reach no frame that a real kernel could not reach.  ChangeScope implements it
// for a domain; tests give a guest a hypervisor of their own.
//
// Thread safety: implementations are used by one thread.

#ifndef SIMVISOR_DOMAIN_GUEST_HYPERCALLS_H_
#define SIMVISOR_DOMAIN_GUEST_HYPERCALLS_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "domain/units/units.h"

namespace simvisor {

class Hypercalls {
 public:
  virtual ~Hypercalls() = default;

  // XENMEM_populate_physmap: gives `pfns` frames out of those that the domain
  // has claimed, sets their m2p entries, and reports the frames in pfn order,
  // some extents at a time with the pfn of their first.  Returns how many pfns
  // have frames now: as many as are claimed, or fewer after many extents.
  using Placed =
      absl::FunctionRef<void(Pfn first, absl::Span<const MfnExtent> frames)>;
  virtual PageCount PopulatePhysmap(PfnExtent pfns, Placed placed) = 0;
  // XENMEM_decrease_reservation: gives frames back with what they hold, and
  // returns how many are free now; other domains map the rest.
  // REQUIRES: the domain owns the frames.
  virtual PageCount DecreaseReservation(absl::Span<const MfnExtent> frames) = 0;

  // MMU_MACHPHYS_UPDATE: the m2p entries of `frames` become first, first + 1,
  // ...; None() clears them.  REQUIRES: the domain owns the frames.
  virtual void MachphysUpdate(MfnExtent frames, Pfn first) = 0;

  // HYPERVISOR_mmu_update of a foreign domain: counts one more mapping of a
  // frame.  OUT_OF_RANGE MFN_OUT_OF_RANGE; FAILED_PRECONDITION
  // FRAME_NOT_FOREIGN unless another domain has the frame.
  virtual absl::Status MapForeign(Mfn mfn) = 0;
  // What MapForeign() would say now.
  virtual absl::Status CheckForeign(Mfn mfn) const = 0;
  // The same, for entries that are cleared: one mapping less of each frame.
  // Returns how many frames of dying domains are free now.
  // REQUIRES: MapForeign() counted each.
  virtual PageCount UnmapForeign(absl::Span<const Mfn> mfns) = 0;

  // XENMEM_current_reservation: pages that the guest has.
  virtual PageCount CurrentReservation() const = 0;

  // hypercall_preempt_check(): a status other than OK ends what is under way
  // and is its result.  Asked where the guest's figures agree with each other.
  virtual absl::Status Preempted() = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_HYPERCALLS_H_
