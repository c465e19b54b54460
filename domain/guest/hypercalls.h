// Everything that a guest may ask of the hypervisor.
//
// Each method is the hypercall that its comment names, so a guest reaches only
// what a real kernel could reach.  ChangeScope implements it for a domain;
// tests give a guest a hypervisor of their own.
//
// Thread safety: implementations are used by one thread.

#ifndef SIMVISOR_DOMAIN_GUEST_HYPERCALLS_H_
#define SIMVISOR_DOMAIN_GUEST_HYPERCALLS_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "domain/p2m/change_permit.h"
#include "domain/units/units.h"

namespace simvisor {

class Hypercalls {
 public:
  virtual ~Hypercalls() = default;

  // Lets the guest store words.  Not a hypercall: shows that the domain's
  // secondary MMUs know of the change.
  virtual const ChangePermit& permit() const = 0;

  // XENMEM_populate_physmap: gives `pfns` frames of the domain's claim and sets
  // their m2p entries.  Calls `placed` with the frames in pfn order, some
  // extents at a time, and with the pfn of the first of them.  Returns how many
  // pfns have frames now: fewer than asked for if the claim is used up, or
  // after many extents.
  using Placed =
      absl::FunctionRef<void(Pfn first, absl::Span<const MfnExtent> frames)>;
  virtual PageCount PopulatePhysmap(PfnExtent pfns, Placed placed) = 0;
  // XENMEM_decrease_reservation: gives frames back with what they hold, and
  // returns how many are free now; other domains map the rest.
  // REQUIRES: the domain owns the frames.
  virtual PageCount DecreaseReservation(absl::Span<const MfnExtent> frames) = 0;

  // MMU_MACHPHYS_UPDATE: the m2p entries of `frames` become first, first + 1,
  // ...; None() clears them, and the frames are in no word until they get
  // entries again.  REQUIRES: the domain owns the frames.
  virtual void MachphysUpdate(MfnExtent frames, Pfn first) = 0;

  // HYPERVISOR_mmu_update of a foreign domain: counts one more mapping of a
  // frame.  OUT_OF_RANGE MFN_OUT_OF_RANGE; FAILED_PRECONDITION
  // FRAME_NOT_FOREIGN unless another domain has the frame.
  virtual absl::Status MapForeign(Mfn mfn) = 0;
  // The status that MapForeign() would return now.  Not a hypercall: a kernel
  // learns it by trying, but a call that maps many frames maps all or none.
  virtual absl::Status CheckForeign(Mfn mfn) const = 0;
  // HYPERVISOR_mmu_update that clears entries: counts one mapping less of each
  // frame.  Returns how many frames of dying domains are free now.
  // REQUIRES: MapForeign() counted each.
  virtual PageCount UnmapForeign(absl::Span<const Mfn> mfns) = 0;

  // XENMEM_current_reservation: pages that the guest has.
  virtual PageCount CurrentReservation() const = 0;

  // hypercall_preempt_check(): a status other than OK ends the operation and is
  // its result.  Called only where the guest's figures agree with each other.
  virtual absl::Status Preempted() = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_HYPERCALLS_H_
