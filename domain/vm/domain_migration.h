// How a domain's guest leaves: it suspends, its pages are read for an image,
// and another host may take it over.  Saving is a migration into a file.
//
// Thread safety: any thread; see Domain.

#ifndef SIMVISOR_DOMAIN_VM_DOMAIN_MIGRATION_H_
#define SIMVISOR_DOMAIN_VM_DOMAIN_MIGRATION_H_

#include <cstddef>
#include <cstdint>
#include <string>
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

  // Enables the dirty log.
  // FAILED_PRECONDITION DOMAIN_NOT_RUNNING, DOMAIN_NOT_MIGRATABLE,
  // DOMAIN_SUSPENDED, and DOMAIN_MIGRATING if the log is enabled already.
  // Source: XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY.
  absl::StatusOr<LiveGuest> StartLogDirty(const Operation& operation) const;
  // Returns what has changed since the last call, and clears the log.  Also for
  // a suspended guest.  Source: XEN_DOMCTL_SHADOW_OP_CLEAN.
  // Takes write access away from secondary MMUs that map these pages first; one
  // call at a time.  A call that fails clears nothing.
  absl::StatusOr<DirtyPages> CleanLogDirty(const Operation& operation = {
                                               "clean the dirty log"}) const;
  // The number of pfns that CleanLogDirty() would return now.
  PageCount PeekLogDirty() const;
  void StopLogDirty() const;

  // --- Suspension ------------------------------------------------------------

  // Suspends the guest: it is paused afterwards, and operations that would
  // change it fail with FAILED_PRECONDITION DOMAIN_SUSPENDED until Resume().
  // FAILED_PRECONDITION DOMAIN_NOT_RUNNING, DOMAIN_NOT_MIGRATABLE (PCI devices,
  // foreign frames, a p2m list that its tree cannot show to tools),
  // DOMAIN_SUSPENDED if it is suspended already, DOMAIN_MIGRATING if it is to
  // be saved while its dirty log is enabled; RESOURCE_EXHAUSTED
  // GUEST_MEMORY_EXHAUSTED if it has too few free pages for its record.
  // Source: xen_suspend() (p2m.md A9).
  absl::StatusOr<SuspendRecord> Suspend(
      const Operation& operation, SuspendFor purpose = SuspendFor::kSave) const;
  // Ends `suspension`, and a handover with it: the guest publishes its list
  // again and runs, or stays paused.  A no-op unless `suspension` is the
  // present one.
  absl::Status Resume(const Operation& operation, uint64_t suspension,
                      bool paused) const;

  // --- Handover --------------------------------------------------------------

  // Notes that another host may run this suspended guest from now on: until
  // Resume() or EndHandover() the domain cannot be destroyed.
  // FAILED_PRECONDITION DOMAIN_DYING, DOMAIN_NOT_RUNNING if not suspended.
  absl::Status BeginHandover(const Operation& operation) const;
  // Lets the domain be destroyed again; its guest stays suspended.  If the
  // guest has moved, `moved_to` says where, for secondary MMUs.
  void EndHandover(std::string moved_to = "") const;

  // --- What an image says ----------------------------------------------------

  // Appends what an image says about `pfns` as they are now, at most max_runs
  // runs, and returns the pfn to go on from.
  absl::StatusOr<Pfn> ReadForImage(PfnExtent pfns, size_t max_runs,
                                   std::vector<ImageRun>& runs) const;
  // The pages of the p2m list's leaves, from leaf `first` on, at most `most`;
  // empty before boot.
  absl::StatusOr<std::vector<Pfn>> LeafPages(uint64_t first, size_t most) const;
  // The pfn of a frame of this domain; None() if the frame is not its, or is in
  // no word.
  Pfn PfnOfFrame(Mfn mfn) const;

 private:
  Domain& domain_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_DOMAIN_MIGRATION_H_
