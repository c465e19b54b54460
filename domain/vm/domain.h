// One PV domain: an id, a lock, and what the lock guards (Parts).
//
// A domain joins parts that do not know each other: its reservation of the
// machine's frames, its memory (the word of each pfn, and what the pages hold),
// and the guest kernel, whose p2m list has these words.  Operations are methods
// of handles, one for each topic: `domain->balloon().Down(...)`.  A handle
// changes the domain through Change() and reads it through Look().  The
// domain's own methods control its life, and show what can be seen of it at any
// time.
//
// Life has the states of a domain, and says what may be done in each.  A method
// that returns a status fails with FAILED_PRECONDITION DOMAIN_DYING once the
// domain is dying, unless its comment says otherwise.  The invariants of a
// domain are in domain_audit.h.
//
// Units: pages and frames of 4096 bytes.  A call that fails has changed
// nothing, unless its comment says otherwise.  If the StopCheck of a call's
// Operation ends the call, its status is the result.
//
// Thread safety: all public methods, and those of handles, may be called from
// any thread.  Changes serialise on one mutex per domain, which looks share; a
// change may hold it for seconds, and gives it up while it waits for secondary
// MMUs (change_waits.h).  Translations take no lock once the guest has
// booted.  Names, affinities and what Info() shows have their own locks, which
// are only held for a moment.  Lock order: Host -> Domain -> FramePool.

#ifndef SIMVISOR_DOMAIN_VM_DOMAIN_H_
#define SIMVISOR_DOMAIN_VM_DOMAIN_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/allocation_faults.h"
#include "base/uuid.h"
#include "domain/cpus/vcpu_affinities.h"
#include "domain/frames/frame_pool.h"
#include "domain/guest/guest.h"
#include "domain/guest/guest_config.h"
#include "domain/p2m/p2m_words.h"
#include "domain/smmu/machine_mmus.h"
#include "domain/units/abi.h"
#include "domain/units/operation.h"
#include "domain/units/pci_address.h"
#include "domain/units/units.h"
#include "domain/vm/change_scope.h"
#include "domain/vm/domain_audit.h"
#include "domain/vm/domain_balloon.h"
#include "domain/vm/domain_build.h"
#include "domain/vm/domain_contents.h"
#include "domain/vm/domain_load.h"
#include "domain/vm/domain_migration.h"
#include "domain/vm/domain_mmus.h"
#include "domain/vm/domain_p2m.h"
#include "domain/vm/domain_processes.h"
#include "domain/vm/domain_types.h"
#include "domain/vm/life.h"
#include "domain/vm/mmu_state.h"
#include "domain/vm/parts.h"
#include "domain/vm/vcpus.h"

namespace simvisor {

class Domain {
 public:
  // What the host has decided before a domain is built.
  struct Params {
    DomainId id;
    DomainSpec spec;            // checked; e820, uuid and max_memory filled in
    bool initial = false;       // dom0: asks the hypervisor for its ceiling
    PageCount max_pages;        // the hypervisor's limit
    bool no_ceiling = false;    // initial, and its kernel is told no limit
    VcpuAffinities affinities;  // made from those of the spec
    AllocationFaults* faults = nullptr;  // see HostConfig
    // The machine's, which outlives the domain; not null.
    MachineMmus* mmus = nullptr;
  };

  // A domain with neither pages nor a guest; see PlannedDomain.  `words` have
  // room for its list.  `pool` must outlive it.
  Domain(Params params, std::unique_ptr<P2mWords> words, FramePool& pool);
  Domain(const Domain&) = delete;
  Domain& operator=(const Domain&) = delete;
  ~Domain();

  DomainId id() const { return identity_.id(); }
  const DomainIdentity& identity() const { return identity_; }
  const Abi& abi() const { return *abi_; }
  // Does not wait for a change.
  std::string name() const { return identity_.name(); }
  void Rename(std::string name) { identity_.Rename(std::move(name)); }

  // --- Topics ----------------------------------------------------------------

  DomainAudit audit() const { return DomainAudit(*this); }
  DomainBalloon balloon() { return DomainBalloon(*this); }
  DomainBuild build() { return DomainBuild(*this); }
  DomainContents contents() { return DomainContents(*this); }
  DomainLoad load() { return DomainLoad(*this); }
  DomainMigration migration() { return DomainMigration(*this); }
  DomainMmus mmus() { return DomainMmus(*this); }
  DomainP2m p2m() { return DomainP2m(*this); }
  DomainProcesses processes() { return DomainProcesses(*this); }
  // Virtual CPUs, which synchronise themselves.
  Vcpus& vcpus() { return vcpus_; }

  // --- How handles reach it --------------------------------------------------

  // Returns f(const Parts&, const Context&) if the domain is as `needs`
  // demands, else the refusal.  `f` returns a Status or a StatusOr, and nothing
  // that points into the parts.
  template <typename F>
  auto Look(absl::string_view operation, Needs needs, F f) const
      ABSL_LOCKS_EXCLUDED(mu_) {
    using Result = std::invoke_result_t<F, const Parts&, const Context&>;
    const Context context(identity_, operation);
    absl::ReaderMutexLock lock(&mu_);
    absl::Status refused = Check(parts_.life, context, needs);
    return refused.ok() ? f(parts_, context) : Result(std::move(refused));
  }
  // Returns f(const Parts&), in any state of the domain.
  template <typename F>
  auto Peek(F f) const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::ReaderMutexLock lock(&mu_);
    return f(parts_);
  }
  // Returns f(ChangeScope&), under the same conditions as Look().
  template <typename F>
  auto Change(const Operation& operation, Needs needs, F f)
      ABSL_LOCKS_EXCLUDED(mu_) {
    using Result = std::invoke_result_t<F, ChangeScope&>;
    const Context context(identity_, operation.name);
    absl::MutexLock lock(&mu_);
    absl::Status refused = Check(parts_.life, context, needs);
    if (!refused.ok()) return Result(std::move(refused));
    ChangeScope change(*this, parts_, pool_, context, operation, needs);
    return f(change);
  }
  // Whether a change may have to wait for secondary MMUs.  Takes no lock; the
  // answer may be out of date at once.
  bool ChangesWait() const {
    const MmuState* const state = mmu_state();
    return state != nullptr && state->mmus->any();
  }
  // The words that can be looked up without a lock, from when the guest has
  // booted until the domain is dying; null before and after.  They stay as long
  // as the caller's reference to the domain.
  const P2mWords* published() const {
    const P2mWords* words = published_.load(std::memory_order_acquire);
    return end_.dying() ? nullptr : words;
  }
  FramePool& pool() const { return pool_; }

  // --- Life ------------------------------------------------------------------

  absl::StatusOr<DomainState> Pause(const Operation& operation);
  // Boots the guest if it has not run yet.  Its balloon driver then works, as
  // far as it can, if the target has changed or its sleep has run out.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED if the kernel gets too few pages
  // to boot; a real kernel would stop for good, this domain stays BUILT.
  absl::StatusOr<DomainState> Unpause(const Operation& operation);
  // Begins the end: from now on no handover can begin.
  // FAILED_PRECONDITION DOMAIN_MIGRATING between DomainMigration's
  // BeginHandover() and EndHandover().
  absl::Status BeginDestroy(const Operation& operation)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Unmaps every foreign frame, then gives back every frame; DYING afterwards.
  // Frames that other domains map stay with this domain, held.  Returns how
  // many frames went back to the pool, including frames of dying owners that
  // this domain was the last to map.  Appends to *drained each owner whose last
  // held frame this freed.
  absl::StatusOr<PageCount> Destroy(const Operation& operation,
                                    std::vector<DomainId>* drained);
  // Whether it is dying, owns no frame, and never will again.
  bool IsGone() const {
    return end_.relinquished() && pool_.HeldBy(id()) == PageCount(0);
  }

  // --- What can be seen at any time ------------------------------------------

  // Never waits for an operation.  Shows the domain as it is; while an
  // operation is at work, as it was before the operation or at some moment of
  // it.  State and counts are of the same moment, except held frames: `current`
  // may count some of these twice while their owner gives them back.
  DomainInfo Info() const ABSL_LOCKS_EXCLUDED(info_mu_);
  // The memory that Info() shows, without allocating anything.
  DomainMemory Memory() const ABSL_LOCKS_EXCLUDED(info_mu_);
  // Pages that it has, without held pages; nullopt if a change is at work.
  std::optional<PageCount> TryPages() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  friend class ChangeScope;  // shows what it changes
  friend class ChangeWaits;  // gives the lock up
  friend class DomainAudit;  // holds the lock for the host
  friend class DomainBuild;  // builds, installs, gives up
  friend class DomainMmus;   // makes the first subscription's state

  // What Info() shows and operations change, except the name and held frames.
  struct Shown {
    DomainState state = DomainState::kBuilt;
    bool suspended = false;
    uint64_t suspension = 0;
    Handover handover = Handover::kNone;
    uint32_t vcpus = 1;
    DomainMemory memory;
    std::optional<BalloonDriverInfo> balloon_driver;  // without its regions
  };
  // What changes once, when the guest comes.
  struct Kernel {
    GuestConfig config;
    std::vector<PfnExtent> extra_regions;
  };

  // Null until the first subscription; any thread.
  MmuState* mmu_state() const {
    return mmu_state_.load(std::memory_order_acquire);
  }
  // Life::Check(), with the domain's held frames.
  absl::Status Check(const Life& life, const Context& context,
                     Needs needs) const;
  // Without what AddPoolFigures() adds: held pages and the shortfall.
  // `claimed`: frames of the domain's own claim, which it can have too.
  static DomainMemory MemoryOf(const Parts& parts);
  void AddPoolFigures(DomainState state,
                      const std::optional<BalloonDriverInfo>& driver,
                      PageCount claimed, DomainMemory& memory) const;
  // All figures, for a change that is at work.
  DomainMemory MemoryDuring(const Parts& parts, PageCount claimed) const;
  // Lets Info() show the domain as it is now.
  void Show(const Parts& parts) ABSL_LOCKS_EXCLUDED(info_mu_);
  // Boots the guest from the image that was built.
  absl::Status Boot(ChangeScope& change);
  // Puts the guest into the domain; from now on translations take no lock.  A
  // domain gets its guest only here; Boot() and DomainBuild call it.
  void InstallGuest(Parts& parts, std::unique_ptr<Guest> guest)
      ABSL_LOCKS_EXCLUDED(info_mu_);
  // Destroy() without its checks.
  PageCount Relinquish(ChangeScope& change);

  DomainIdentity identity_;

  // Constant after construction.
  const Abi* const abi_;
  const Uuid uuid_;
  const std::vector<PciAddress> pci_devices_;
  FramePool& pool_;
  AllocationFaults* const faults_;
  MachineMmus& machine_mmus_;

  LifeEnd end_;  // set under mu_, read without it
  // Set once, under mu_.
  std::atomic<const P2mWords*> published_ = nullptr;
  // Set once, under mu_; owned.
  std::atomic<MmuState*> mmu_state_ = nullptr;

  Vcpus vcpus_;

  // Locked under mu_ to change what is shown, and without mu_ to read it;
  // nothing is locked under it.
  mutable absl::Mutex info_mu_;
  Shown shown_ ABSL_GUARDED_BY(info_mu_);
  std::shared_ptr<const Kernel> kernel_ ABSL_GUARDED_BY(info_mu_);

  mutable absl::Mutex mu_ ABSL_ACQUIRED_BEFORE(info_mu_);
  Parts parts_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_DOMAIN_H_
