// How a domain's guest leaves: it suspends, its pages are read for an image,
// and another host may take it over.  Saving is a migration into a file.
//
// Thread safety: any thread; see Domain.

#ifndef SIMVISOR_DOMAIN_VM_DOMAIN_MIGRATION_H_
#define SIMVISOR_DOMAIN_VM_DOMAIN_MIGRATION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domain/guest/suspend_record.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"
#include "domain/vm/suspend_types.h"

namespace simvisor {

class Domain;

class DomainMigration {
 public:
  explicit DomainMigration(Domain& domain) : domain_(domain) {}

  // --- Log-dirty -------------------------------------------------------------

  // Starts to note what changes.  FAILED_PRECONDITION DOMAIN_NOT_RUNNING,
  // DOMAIN_NOT_MIGRATABLE, DOMAIN_SUSPENDED, and DOMAIN_MIGRATING if it is on
  // already.  Source: XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY.
  absl::StatusOr<LiveGuest> StartLogDirty(const Operation& operation) const;
  // What has changed since the last call; later calls do not tell it again.
  // Also of a suspended guest.  Source: XEN_DOMCTL_SHADOW_OP_CLEAN.
  absl::StatusOr<DirtyPages> CleanLogDirty() const;
  // How many pfns that would be; nothing else happens.
  PageCount PeekLogDirty() const;
  void StopLogDirty() const;

  // --- Suspension ------------------------------------------------------------

  // Suspends the guest: paused afterwards, and what would change it fails with
  // FAILED_PRECONDITION DOMAIN_SUSPENDED until Resume().
  // FAILED_PRECONDITION DOMAIN_NOT_RUNNING, DOMAIN_NOT_MIGRATABLE (PCI devices,
  // foreign frames, a p2m list that its tree cannot show to tools),
  // DOMAIN_SUSPENDED if it is already, DOMAIN_MIGRATING if it is to be saved
  // while its dirty log is on; RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED if it
  // has too few free pages for its record.  Source: xen_suspend(), A9.
  absl::StatusOr<SuspendRecord> Suspend(
      const Operation& operation, SuspendFor purpose = SuspendFor::kSave) const;
  // Ends `suspension`, and a handover with it: the guest publishes its list
  // anew and runs, or stays paused.  Nothing if it is not suspended, or anew by
  // somebody else.
  absl::Status Resume(const Operation& operation, uint64_t suspension,
                      bool paused) const;

  // --- Handover --------------------------------------------------------------

  // Notes that the twin of this suspended guest may run from now on: until
  // Resume() or EndHandover() it cannot be destroyed.
  // FAILED_PRECONDITION DOMAIN_DYING, DOMAIN_NOT_RUNNING if not suspended.
  absl::Status BeginHandover(const Operation& operation) const;
  // The guest, suspended still, may be destroyed again.
  void EndHandover() const;

  // --- What an image says ----------------------------------------------------

  // Appends what an image says about `pfns`, as they are now, at most max_runs
  // runs, and returns the pfn to go on from.
  absl::StatusOr<Pfn> ReadForImage(PfnExtent pfns, size_t max_runs,
                                   std::vector<ImageRun>& runs) const;
  // Pages of leaves from `first` on, ascending, at most `most`.
  absl::StatusOr<std::vector<Pfn>> LeafPages(uint64_t first, size_t most) const;
  // The pfn of a frame of this domain; None() if it is not one.
  Pfn PfnOfFrame(Mfn mfn) const;

 private:
  Domain& domain_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_DOMAIN_MIGRATION_H_
