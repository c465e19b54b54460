// One PV domain: its reservation, its guest's p2m list, balloon and contents.
//
// A Domain joins three things that do not know each other: the frames it owns
// in the machine's pool, the p2m list that its guest keeps of them, and what
// the frames hold.  Its methods keep the invariants between the three, which
// Audit() states and checks:
//   (1) a RAM word's frame is owned by the domain, is one that its guest can
//   reach, and its m2p entry points back; (2) pages = RAM words + frames in no
//   word + frames held for other domains' mappings of them; (3) a page of the
//   list's own structure, of an address space, or of the guest's load is RAM,
//   in no free list and no two of these; (4) the guest's free pages are RAM,
//   and the balloon's pfns are INVALID; (5) every PMD entry that the tables of
//   a process have for the p2m area is the list's; (6) the balloon driver
//   of a running guest works towards the target, unless an empty balloon made
//   it give that up; (7) a foreign word's frame is another domain's.
//
// Its states are those of Life, which says what may be done in each.  A
// method that returns a status fails with FAILED_PRECONDITION DOMAIN_DYING once
// the domain is dying, unless its comment says otherwise.
//
// Units: pages and frames of 4096 bytes.  A call that fails has changed
// nothing, unless its comment says otherwise.  The status with which
// the StopCheck of a call's Operation ends it is the result.
//
// Thread safety: all public methods may be called from any thread.  Methods
// that change the domain serialise on one mutex per domain, which those that
// only look share; a memory operation may hold it for seconds.  Translate()
// takes no lock once the guest has booted; names, affinities and what Info()
// shows have locks of their own that are only ever held for a moment. Lock
// order: Host -> Domain -> FramePool.

#ifndef SIMVISOR_DOMAIN_VM_DOMAIN_H_
#define SIMVISOR_DOMAIN_VM_DOMAIN_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "base/allocation_faults.h"
#include "domain/collections/extent_set.h"
#include "domain/collections/state_codec.h"
#include "domain/frames/frame_pool.h"
#include "domain/frames/page_contents.h"
#include "domain/guest/address_spaces.h"
#include "domain/guest/balloon.h"
#include "domain/guest/free_pages.h"
#include "domain/guest/guest_boot.h"
#include "domain/guest/guest_load.h"
#include "domain/guest/memory_setup.h"
#include "domain/p2m/builder_list.h"
#include "domain/p2m/m2p.h"
#include "domain/p2m/p2m_list.h"
#include "domain/units/abi.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"
#include "domain/vm/dirty_log.h"
#include "domain/vm/domain_types.h"
#include "domain/vm/life.h"
#include "domain/vm/reservation.h"
#include "domain/vm/suspend_types.h"
#include "domain/vm/vcpus.h"

namespace simvisor {

class Domain {
 public:
  // What the host has settled before a domain is built.
  struct Params {
    DomainId id;
    DomainSpec spec;            // checked; e820, uuid and max_memory filled in
    bool initial = false;       // dom0: asks the hypervisor for its ceiling
    PageCount max_pages;        // the hypervisor's limit
    bool no_ceiling = false;    // initial, and its kernel hears of no limit
    VcpuAffinities affinities;  // those of the spec, which has none itself
    AllocationFaults* faults = nullptr;  // see HostConfig
  };

  // Plans a domain; it owns no frame yet.
  //
  // INVALID_ARGUMENT MEMORY_SIZE_INVALID if the guest could not boot in its
  // memory, E820_MALFORMED; FAILED_PRECONDITION E820_REMAP_OVERFLOW;
  // RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED.  `pool` must outlive it.
  static absl::StatusOr<std::shared_ptr<Domain>> Plan(Params params,
                                                      FramePool& pool);

  Domain(const Domain&) = delete;
  Domain& operator=(const Domain&) = delete;

  DomainId id() const { return id_; }
  const Abi& abi() const { return *abi_; }
  const Uuid& uuid() const { return spec_.uuid; }

  // Gives the domain its frames and the builder's list; BUILT afterwards.
  // RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED, GUEST_MEMORY_EXHAUSTED; after a
  // failure it owns nothing, is DYING and must be dropped.
  absl::Status Populate(const Operation& operation) ABSL_LOCKS_EXCLUDED(mu_);

  // Never waits for an operation.  Shows the domain as it is, or, while one is
  // at work, as it was before or at some moment since: a state with the counts
  // of one moment, which a later call may find further on.  Held frames are
  // counted on their own, so that `current` may count some twice while their
  // owner is giving them back.
  DomainInfo Info() const ABSL_LOCKS_EXCLUDED(info_mu_);
  // Only what Info() shows of its memory: ten numbers, nothing allocated.
  DomainMemory Memory() const ABSL_LOCKS_EXCLUDED(info_mu_);
  // Pages that Info() shows, without those held.
  PageCount ShownPages() const ABSL_LOCKS_EXCLUDED(info_mu_) {
    absl::MutexLock lock(&info_mu_);
    return shown_.memory.current;
  }
  // Whether its guest has booted, so that Translate() takes no lock.
  bool HasBooted() const { return booted_.load(std::memory_order_acquire); }
  // Pages that it has, without those held; nullopt if the lock is taken.
  std::optional<PageCount> PagesAtOnce() const ABSL_LOCKS_EXCLUDED(mu_);
  // Whether a change would have to wait for the lock now.
  bool IsAtWork() const ABSL_LOCKS_EXCLUDED(mu_);
  // Does not wait for a long memory operation, as Info() does.
  std::string name() const ABSL_LOCKS_EXCLUDED(name_mu_);
  void Rename(absl::string_view name) ABSL_LOCKS_EXCLUDED(name_mu_);

  absl::StatusOr<DomainState> Pause(const Operation& operation)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Boots the guest if it has not run yet.  Its balloon driver then works, as
  // far as it can, if the target has changed or its sleep has run out.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED if its kernel gets too few pages
  // to boot, where a real one would stop for good; the domain then is BUILT as
  // before.
  absl::StatusOr<DomainState> Unpause(const Operation& operation)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Unmaps every foreign frame, then gives every frame back, and returns how
  // many went back to the pool, frames of dying owners included; DYING
  // afterwards.  Those that other domains map stay with this one, held; those
  // that it held back for others by its own mappings go: each owner that has
  // none held any more is appended to *drained.
  absl::StatusOr<PageCount> Destroy(const Operation& operation,
                                    std::vector<DomainId>* drained)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Whether it is dying and owns no frame any more, and never will.
  bool IsGone() const {
    return end_.gave_all_back() && pool_.HeldBy(id_) == PageCount(0);
  }

  // Log-dirty and handover (domain_migrate.cc).
  //
  // Starts to note what changes.  FAILED_PRECONDITION DOMAIN_NOT_RUNNING,
  // DOMAIN_NOT_MIGRATABLE, DOMAIN_SUSPENDED, and DOMAIN_MIGRATING if it is on
  // already.  Source: XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY.
  absl::StatusOr<LiveGuest> StartLogDirty(const Operation& operation)
      ABSL_LOCKS_EXCLUDED(mu_);
  // What has changed since the last call; later calls do not tell it again.
  // Also of a suspended guest.  Source: XEN_DOMCTL_SHADOW_OP_CLEAN.
  absl::StatusOr<DirtyPages> CleanLogDirty() ABSL_LOCKS_EXCLUDED(mu_);
  // How many pfns that would be; nothing else happens.
  PageCount PeekLogDirty() const ABSL_LOCKS_EXCLUDED(mu_);
  void StopLogDirty() ABSL_LOCKS_EXCLUDED(mu_);
  // Notes that the twin of this suspended guest may run from now on: until
  // Resume() or EndHandover() it cannot be destroyed.
  // FAILED_PRECONDITION DOMAIN_DYING, DOMAIN_NOT_RUNNING if not suspended.
  absl::Status BeginHandover(const Operation& operation)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The guest, suspended still, may be destroyed again.
  void EndHandover() ABSL_LOCKS_EXCLUDED(mu_);
  // Begins the end: no handover can begin any more.
  // FAILED_PRECONDITION DOMAIN_MIGRATING between the two.
  absl::Status BeginDestroy(const Operation& operation)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Suspension and images (domain_suspend.cc, domain_restore.cc).
  //
  // Suspends the guest: paused afterwards, and what would change it fails with
  // FAILED_PRECONDITION DOMAIN_SUSPENDED until Resume().
  // FAILED_PRECONDITION DOMAIN_NOT_RUNNING, DOMAIN_NOT_MIGRATABLE (PCI devices,
  // foreign frames, a p2m list that its tree cannot show to tools),
  // DOMAIN_SUSPENDED if it is already, DOMAIN_MIGRATING if it is to be saved
  // while its dirty log is on; RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED if it
  // has too few free pages for its record.  Source: xen_suspend(), A9.
  absl::StatusOr<SuspendRecord> Suspend(const Operation& operation,
                                        SuspendFor purpose = SuspendFor::kSave)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Ends `suspension`, and a handover with it: the guest publishes its list
  // anew and runs, or stays paused.  Nothing if it is not suspended, or anew by
  // somebody else.
  absl::Status Resume(const Operation& operation, uint64_t suspension,
                      bool paused) ABSL_LOCKS_EXCLUDED(mu_);
  // Appends what an image says about `pfns`, as they are now, at most max_runs
  // runs, and returns the pfn to go on from.
  absl::StatusOr<Pfn> ReadForImage(PfnExtent pfns, size_t max_runs,
                                   std::vector<ImageRun>& runs) const
      ABSL_LOCKS_EXCLUDED(mu_);
  // Pages of leaves from `first` on, ascending, at most `most`.
  absl::StatusOr<std::vector<Pfn>> LeafPages(uint64_t first, size_t most) const
      ABSL_LOCKS_EXCLUDED(mu_);
  // The pfn of a frame of this domain; None() if it is not one.
  Pfn PfnOfFrame(Mfn mfn) const;

  // Plans a domain that comes out of an image whose pfns end at `end`.  It has
  // no guest: PlanGuest() makes that.  Errors as for Plan().
  static absl::StatusOr<std::shared_ptr<Domain>> PlanIncoming(Params params,
                                                              Pfn end,
                                                              FramePool& pool);
  // Gives `pages` frames and their contents; other pages received go.  When
  // `stop` ends it, some have frames, and the domain must be dropped.
  // REQUIRES: it has no page yet, and the claim is for as many.
  absl::Status TakeIn(const Operation& operation, const PfnSet& pages,
                      ReceivedPages& received) ABSL_LOCKS_EXCLUDED(mu_);
  // Leaves the domain as it is, BUILT, with `leaves` for pages of its list and
  // at least `vcpus` virtual CPUs: its kernel is not ours, so it cannot run
  // (GUEST_KERNEL_UNKNOWN).
  absl::Status AdoptForeignKernel(const Operation& operation,
                                  absl::Span<const uint64_t> leaves,
                                  uint32_t vcpus) ABSL_LOCKS_EXCLUDED(mu_);
  // A guest without frames, and which of the pages received are its.
  struct PlannedGuest {
    std::shared_ptr<Domain> guest;
    PfnSet ram;
  };
  // Plans the guest that `notes` tell of: a domain of the same id, paused,
  // stale for tools.  Nothing has changed, whatever the result.
  // INVALID_ARGUMENT IMAGE_MALFORMED, with field, offset, value and limit, if
  // notes and pages do not make a guest; RESOURCE_EXHAUSTED
  // HOST_ADDRESS_SPACE_EXHAUSTED.
  absl::StatusOr<PlannedGuest> PlanGuest(const GuestNotes& notes,
                                         const PfnSet& received, Pfn end,
                                         LimitsFrom limits,
                                         StopCheck stop) const
      ABSL_LOCKS_EXCLUDED(mu_);
  // Tells a planned guest its frames: those of this domain, which has taken in
  // the guest's pages.
  absl::Status GiveFrames(Domain& guest, StopCheck stop) const;
  // Lets a planned guest that knows its frames own them and their contents,
  // without those of its kernel's own pages; this one is DYING and empty then.
  void HandOver(Domain& guest, absl::Span<const Pfn> record_pages,
                Arrival arrival) ABSL_LOCKS_EXCLUDED(mu_);

  // Moves `pages` pages, or with `allow_partial` as many as there are, out of
  // the guest or into it, and returns how many; the target follows.  When
  // `stop` ends the call, what has moved stays moved.
  //
  // FAILED_PRECONDITION DOMAIN_NOT_RUNNING; INVALID_ARGUMENT RANGE_INVALID for
  // 0 pages, MEMORY_SIZE_INVALID if dom0 would have less than kMinDom0Memory,
  // below which no partial move goes either; RESOURCE_EXHAUSTED
  // GUEST_MEMORY_EXHAUSTED (down), PFN_NOT_BALLOONABLE, MAX_MEM_EXCEEDED,
  // HOST_MEMORY_EXHAUSTED (up).
  // Source: decrease_reservation(), increase_reservation() in
  // drivers/xen/balloon.c.
  absl::StatusOr<PageCount> BalloonDown(const Operation& operation,
                                        PageCount pages, bool allow_partial)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<PageCount> BalloonUp(const Operation& operation,
                                      PageCount pages, bool allow_partial)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Sets the hypervisor's limit to `target` + 1 MiB, then the target, then lets
  // the driver of a running guest, if that wakes it, move as far as it can; a
  // short move is not an error.  When `stop` ends the call, the target stays
  // set. INVALID_ARGUMENT MEMORY_SIZE_INVALID (0; dom0: below kMinDom0Memory),
  // STATIC_MAX_EXCEEDED.
  // Source: libxl_set_memory_target().
  absl::Status SetTarget(const Operation& operation, PageCount target)
      ABSL_LOCKS_EXCLUDED(mu_);

  // When the guest's balloon driver wakes next if no call wakes it; a pause
  // does not stop its time.
  BalloonTimer balloon_timer() const ABSL_LOCKS_EXCLUDED(mu_);
  // What goes on in the guest without a call, as of one moment.
  struct Timers {
    BalloonTimer balloon;
    bool has_load = false;
  };
  Timers timers() const ABSL_LOCKS_EXCLUDED(mu_);
  // What the driver does when `timer` has run out: one wake-up towards its own
  // target, that of a paused guest once it runs again.  Nothing if the timer is
  // not the present one.  When `stop` ends it, what has moved stays moved.
  // Source: balloon_thread() in drivers/xen/balloon.c.
  absl::Status WakeBalloon(const Operation& operation,
                           const BalloonTimer& timer) ABSL_LOCKS_EXCLUDED(mu_);

  // Sets static-max, and the hypervisor's limit to `max_memory` + 1 MiB.
  // INVALID_ARGUMENT MAX_MEM_BELOW_TARGET, MEMORY_SIZE_INVALID (2^32 and more,
  // on PAE more than 64 GiB).
  // Source: libxl_domain_setmaxmem().
  absl::Status SetMaxMemory(const Operation& operation, PageCount max_memory)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Makes the words of [start, end) identity; end None() is the list's end.
  // Errors: see MemoryService.MarkIdentityRange.
  // Once the change itself has begun, `stop` is not asked any more.
  absl::StatusOr<RangeChange> MarkIdentity(const Operation& operation,
                                           Pfn start, Pfn end, bool release_ram)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Sets the words of `pfns`: missing, identity, or RAM from first_mfn on.
  // Should the guest's allocator fail half-way, no word has changed, but pages
  // that the list has taken stay with it and serve the next try (A6).
  // REQUIRES: p2m_class is one of these.
  // Errors: see MemoryService.SetP2mRange.
  absl::StatusOr<RangeChange> SetRange(const Operation& operation,
                                       PfnExtent pfns, P2mClass p2m_class,
                                       Mfn first_mfn, RamPolicy policy)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Appends the words of `pfns` to `words`, each as the list held it at some
  // moment of the call.  Takes no lock once the guest has booted: booted_ is
  // set when the list is ready for that, and LifeEnd before the first frame
  // goes, so that a call that begins afterwards fails; one that began before
  // finds the words of the end, which stay as long as the caller's reference.
  absl::Status Translate(absl::Span<const uint64_t> pfns,
                         std::vector<P2mWord>& words) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Appends what the guest says about each of `mfns`.
  absl::Status TranslateMfns(absl::Span<const uint64_t> mfns,
                             std::vector<MfnTranslation>& answers) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Maps frames of other domains at missing pfns, slot by slot; a slot that
  // fails is left as it was, but for pages of the list that the guest took.
  // Errors of slots and of the call: see MemoryService.MapForeignFrames.  When
  // `stop` ends the call, what is mapped stays mapped, and `report` says so.
  // Source: set_foreign_p2m_mapping() in arch/x86/xen/p2m.c.
  absl::Status MapForeign(const Operation& operation,
                          absl::Span<const ForeignSlot> slots,
                          ForeignReport& report) ABSL_LOCKS_EXCLUDED(mu_);
  // Makes the words of foreign pfns INVALID, slot by slot; *drained as for
  // Destroy().  For Host::UnmapForeign(), which takes care of these owners.
  // Source: clear_foreign_p2m_mapping() in arch/x86/xen/p2m.c.
  absl::Status UnmapForeign(const Operation& operation,
                            absl::Span<const uint64_t> pfns,
                            ForeignReport& report,
                            std::vector<DomainId>* drained)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Appends runs of [start, end), at most max_runs, and returns the pfn to go
  // on from: the end of the list, or `end`, when done.  `end` past the list
  // stands for its end.  OUT_OF_RANGE PFN_OUT_OF_RANGE if `start` is past the
  // list.
  absl::StatusOr<Pfn> ListRuns(Pfn start, Pfn end, P2mView view, RunMerge merge,
                               size_t max_runs, std::vector<P2mRun>& runs,
                               uint64_t* generation) const
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<P2mReport> Summary() const ABSL_LOCKS_EXCLUDED(mu_);
  // FAILED_PRECONDITION DOMAIN_NOT_BOOTED until the guest has published it,
  // P2M_TREE_STALE after its frames have changed until it has done so again.
  absl::StatusOr<MfnListList> FindMfnListList() const ABSL_LOCKS_EXCLUDED(mu_);

  // Copies guest memory from byte `offset` of page `pfn` on; may span pages.
  // FAILED_PRECONDITION PFN_NOT_RAM, PAGE_IN_USE_BY_KERNEL (write);
  // INVALID_ARGUMENT RANGE_INVALID (offset beyond the page, nothing to copy);
  // RESOURCE_EXHAUSTED GUEST_CONTENTS_EXHAUSTED, DAEMON_MEMORY_EXHAUSTED
  // (write): see PageStore::Take().
  absl::Status ReadMemory(Pfn pfn, uint64_t offset, absl::Span<char> out) const
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status WriteMemory(const Operation& operation, Pfn pfn, uint64_t offset,
                           absl::string_view data) ABSL_LOCKS_EXCLUDED(mu_);

  // The guest's load (domain_load.cc): a program in it that writes to pages of
  // its own; see GuestLoad.  All but StartLoad(): FAILED_PRECONDITION
  // GUEST_LOAD_NOT_FOUND if there is none.
  //
  // Takes the working set out of the guest's free pages, zeroed.
  // FAILED_PRECONDITION DOMAIN_NOT_RUNNING, GUEST_LOAD_RUNNING;
  // INVALID_ARGUMENT RANGE_INVALID (see LoadSpec); RESOURCE_EXHAUSTED
  // GUEST_MEMORY_EXHAUSTED.
  absl::Status StartLoad(const Operation& operation, const LoadSpec& spec)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Does the next `writes` writes, or fewer if the guest does not run, and
  // returns how many.  When `stop` ends the call, what was written stays; also
  // when there is no room for what a page is to hold, RESOURCE_EXHAUSTED as for
  // WriteMemory(): the write is the next one still.  Lets other calls in
  // between.
  absl::StatusOr<uint64_t> RunLoad(const Operation& operation, uint64_t writes)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Ends it, and gives its pages back to the guest, zeroed.
  absl::StatusOr<LoadReport> StopLoad(const Operation& operation)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<LoadReport> FindLoad() const ABSL_LOCKS_EXCLUDED(mu_);
  // The same, and where its pages lie, from number `first` on, at most `most`
  // extents.
  absl::StatusOr<LoadReport> ListLoadPages(
      uint64_t first, size_t most, std::vector<PfnExtent>& extents) const
      ABSL_LOCKS_EXCLUDED(mu_);
  // Compares each page with what it must hold after the writes so far.  Lets
  // the load, and other calls, go on in between.
  absl::StatusOr<LoadCheck> CheckLoad(const Operation& operation) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Content of a frame of this domain.  Sets *zero instead of filling `page`
  // (kPageSize bytes) if every byte is 0.  FAILED_PRECONDITION
  // FRAME_NOT_READABLE if the frame is not the domain's.
  absl::Status ReadFrame(Mfn mfn, absl::Span<char> page, bool* zero) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Changes the affinity of `vcpus`, of all virtual CPUs if it is empty; a null
  // mask stays as it is.  Works in every state but dying, and does not wait for
  // long operations.  INVALID_ARGUMENT VCPU_OUT_OF_RANGE, CPU_INVALID.
  // Source: libxl_set_vcpuaffinity(), vcpu_affinity_domctl().
  absl::Status SetVcpuAffinity(const Operation& operation,
                               absl::Span<const uint32_t> vcpus,
                               const CpuRanges* hard, const CpuRanges* soft);
  // Virtual CPUs from `first` on, ascending, at most `limit`; none past the
  // last.  Does not wait for long operations.
  absl::StatusOr<std::vector<VcpuInfo>> ListVcpus(uint32_t first,
                                                  size_t limit) const;

  // Processes of a PAE guest (domain_address_space.cc).  Any of these:
  // FAILED_PRECONDITION ARCH_NOT_PAE, DOMAIN_NOT_BOOTED; other errors as those
  // of AddressSpaces, which see.
  //
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED; INVALID_ARGUMENT RANGE_INVALID
  // for none.  Nothing is left of a call that `stop` ends.
  absl::StatusOr<NewAddressSpaces> CreateAddressSpaces(
      const Operation& operation, uint32_t count) ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<AddressSpaceTotals> DestroyAddressSpaces(
      const Operation& operation, absl::Span<const uint64_t> ids)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Appends those with ids from first_id on, ascending, at most `max`.
  absl::StatusOr<AddressSpaceTotals> ListAddressSpaces(
      uint64_t first_id, size_t max,
      std::vector<AddressSpaceInfo>& spaces) const ABSL_LOCKS_EXCLUDED(mu_);
  // Appends the words of `pfns` as the process sees them through its tables.
  absl::Status TranslateIn(uint64_t id, absl::Span<const uint64_t> pfns,
                           std::vector<P2mWord>& words) const
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<AddressSpaceSync> SyncAddressSpaces(const Operation& operation)
      ABSL_LOCKS_EXCLUDED(mu_);

  // For the host's audit, which holds every domain still at once; methods that
  // only look go on.
  void LockForAudit() const ABSL_SHARED_LOCK_FUNCTION(mu_) { mu_.ReaderLock(); }
  bool TryLockForAudit() const ABSL_SHARED_TRYLOCK_FUNCTION(true, mu_) {
    return mu_.ReaderTryLock();
  }
  void UnlockAfterAudit() const ABSL_UNLOCK_FUNCTION(mu_) {
    mu_.ReaderUnlock();
  }
  // Appends a sentence for each invariant that does not hold, and adds the RAM
  // words looked at to *words.  Returns the pages the domain says it owns, held
  // ones included.
  PageCount Audit(std::vector<std::string>& findings, uint64_t* words) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Counts the domain's foreign words by frame.
  void CountForeign(absl::btree_map<Mfn, uint64_t>& mapped) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);

 private:
  // Holds the lock for a change, and shows the outcome in Info() at its end.
  class ABSL_SCOPED_LOCKABLE ChangeLock {
   public:
    explicit ChangeLock(Domain* domain)
        ABSL_EXCLUSIVE_LOCK_FUNCTION(domain->mu_);
    ChangeLock(const ChangeLock&) = delete;
    ChangeLock& operator=(const ChangeLock&) = delete;
    ~ChangeLock() ABSL_UNLOCK_FUNCTION();

   private:
    Domain* const domain_;
  };

  // What Info() shows of what changes, but for the name and held frames.
  struct Shown {
    DomainState state = DomainState::kBuilt;
    bool suspended = false;
    uint64_t suspension = 0;
    Handover handover = Handover::kNone;
    uint32_t vcpus = 1;
    DomainMemory memory;
    std::optional<BalloonDriverInfo> balloon_driver;  // without its regions
  };

  Domain(Params params, MemorySetup setup, PageCount boot_pages,
         std::unique_ptr<P2mWords> words, FramePool& pool);

  // domain.cc
  // Lets Info() show the domain as it is now; a long change may do so on its
  // way.
  void Show() ABSL_SHARED_LOCKS_REQUIRED(mu_) ABSL_LOCKS_EXCLUDED(info_mu_);
  // Life::Check(), with the domain's held frames.
  absl::Status Check(const Context& context, Needs needs) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  absl::Status GiveInitialFrames(StopCheck stop)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Boot() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The guest's pages that hold its p2m list.
  const StructurePages& structure() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  void MakeAddressSpaces() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Destroy() without its checks.
  PageCount Die(std::vector<DomainId>* drained)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Lowers both targets after frames went back behind the driver's back, so
  // that it does not ask for them again; a lower target stays.
  void FollowRelease(PageCount before) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Gives frames back to the pool with what they hold; returns how many are
  // free, the others being held for other domains' mappings.
  PageCount FreeFrames(absl::Span<const MfnExtent> frames)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Runs worked on between two looks at a StopCheck.
  static constexpr size_t kMaxRuns = 1 << 12;

  // domain_balloon.cc
  // Gives the driver `target` pages for a target by hand, wakes it and lets it
  // work; both targets are what the guest has then.
  // Frames on the way up come out of `claim`, or, without one, as far as pool
  // and limit allow.
  absl::Status Drive(PageCount target, FrameClaim* claim, StopCheck stop)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Has the guest read the domain's target, if that was written since it last
  // did, and lets its driver work if that wakes it or if its timer ran out
  // while the guest was paused.
  absl::Status ReadTarget(StopCheck stop) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The rounds of one wake-up, up to the first that is not kDone.
  absl::Status WorkDriver(FrameClaim* claim, StopCheck stop)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasDriver() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return life_.has_run();
  }
  BalloonDriverInfo DriverInfo() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Move pages, as many as there are or until `stop` says so, and count them in
  // *moved.
  absl::Status MoveDown(PageCount pages, StopCheck stop, PageCount* moved)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status MoveUp(PageCount pages, FrameClaim* claim, StopCheck stop,
                      PageCount* moved) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes the pages at `pfns`, which are free no more, out of the guest; those
  // still to go are left in `pfns` when `stop` ends it.
  absl::Status MoveExtentDown(PfnExtent& pfns, StopCheck stop)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckRoomUp(const Context& context, PageCount pages) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Pages that leaves for the next `pages` pages of the balloon take, counting
  // `most` for each of its extents; none but with compact room.
  PageCount LeafPagesUp(PageCount pages, PageCount most) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Pages the hypervisor would still give.
  PageCount RoomBelowMax() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return reservation_.Room(pool_.HeldBy(id_));
  }

  // domain_migrate.cc
  absl::Status CheckNotMigrating(const Context& context) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);

  // domain_suspend.cc
  absl::Status CheckCanTravel(const Context& context) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // An image names pfns below last_pfn() only.
  absl::Status CheckNoRamBehindEnd(const Context& context) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Chooses pages for what is in `record`.
  absl::Status PlaceRecord(const Context& context, StopCheck stop,
                           SuspendRecord& record) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Free pages that hold nothing, the lowest first.
  absl::StatusOr<std::vector<Pfn>> UnwrittenFreePages(size_t most,
                                                      StopCheck stop) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // The run that begins at `at`, which is below `end`.
  ImageRun RunForImage(Pfn at, Pfn end) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  int TableLevel(Pfn pfn) const ABSL_SHARED_LOCKS_REQUIRED(mu_);

  // domain_restore.cc
  // Appends what the kernel knows about itself.
  absl::Status EncodeKernel(StateWriter& out, StopCheck stop) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Reads the guest's part of the notes, of that version, behind its list's.
  // `target` is the domain's as it was noted, `ram` has the pages of the guest.
  absl::Status DecodeGuest(StateReader& in, uint64_t version,
                           const GuestNotes& notes, PageCount target,
                           const PfnSet& ram, StopCheck stop)
      ABSL_LOCKS_EXCLUDED(mu_);
  void DecodeBalloon(StateReader& in, uint64_t version, PageCount target)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DecodeExtraRegions(StateReader& in) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DecodeLoad(StateReader& in, const PfnSet& free)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckLeafPages(absl::Span<const uint64_t> pages,
                              StopCheck stop) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  absl::Status CheckPlanned() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Takes the contents of `incoming`, whose frames are this guest's already.
  void TakeOver(Domain& incoming, absl::Span<const Pfn> record_pages)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(incoming.mu_) ABSL_LOCKS_EXCLUDED(mu_);
  void Hold() ABSL_LOCKS_EXCLUDED(mu_);
  void DropKernelPages(absl::Span<const Pfn> record_pages)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // domain_audit.cc
  // The part of Audit() that asks the guest only, and no frame.
  void AuditGuest(std::vector<std::string>& findings) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  void AuditDying(std::vector<std::string>& findings) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Adds RAM words to *words and returns how many foreign ones there are.
  PageCount AuditWords(std::vector<std::string>& findings,
                       uint64_t* words) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  void AuditFreePages(std::vector<std::string>& findings) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  void AuditAddressSpaces(std::vector<std::string>& findings) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // `words`: foreign words that the list has.
  void AuditForeign(PageCount words, std::vector<std::string>& out) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  void AuditBalloon(std::vector<std::string>& findings) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);

  // domain_p2m.cc
  absl::StatusOr<PfnExtent> IdentityRange(const Context& context, Pfn start,
                                          Pfn end) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Free pages that a guest which has not booted must keep.
  PageCount PagesStillToBoot() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // What is under a range that is about to be overwritten.
  struct Overwritten {
    std::vector<MfnExtent> frames;
    PageCount ram;
  };
  absl::StatusOr<Overwritten> CheckOverwrite(const Context& context,
                                             PfnExtent pfns, RamPolicy policy,
                                             StopCheck stop) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  absl::Status CheckGuestPages(const Context& context, PfnExtent pfns,
                               PageCount needed) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  absl::Status CheckNewFrames(const Context& context, PfnExtent pfns,
                              Mfn first_mfn) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Takes the pages of the p2m list that setting `pfns` needs, and their own
  // pages out of the guest's free ones.  RESOURCE_EXHAUSTED
  // GUEST_MEMORY_EXHAUSTED; then pages taken for the list stay (A6), and
  // nothing else has changed.
  absl::Status PrepareRange(const Context& context, PfnExtent pfns,
                            const P2mList::RangeFill& fill)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<RangeChange> CommitRange(const Context& context,
                                          PfnExtent pfns,
                                          const P2mList::RangeFill& fill,
                                          const Overwritten& under,
                                          RamPolicy policy)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // domain_address_space.cc
  absl::Status CheckHasAddressSpaces(const Context& context) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Whether a page of `pfns` is a process's page table.
  bool HoldsPageTables(PfnExtent pfns) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Forgets what was written to `pages`: the kernel has zeroed them.
  void ZeroPages(const PfnSet& pages) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MarkPageTablesDirty() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Fills `page` if the kernel keeps its p2m list or a page table at `pfn`;
  // returns whether it does.
  bool RenderKernelPage(Pfn pfn, absl::Span<char> page) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);

  // domain_foreign.cc
  // What the pool said of the slot's frame, with the slot named.
  absl::Status NameSlot(const Context& context, const ForeignSlot& slot,
                        const absl::Status& counted) const;
  absl::Status MapSlot(const Context& context, const ForeignSlot& slot)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status UnmapSlot(const Context& context, Pfn pfn,
                         std::vector<Mfn>& mfns)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckNoForeign(const Context& context, PfnExtent pfns) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Gives up every mapping without touching the words; returns how many frames
  // of dying owners that frees.
  PageCount DropForeign(std::vector<DomainId>* drained)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // domain_load.cc
  absl::Status CheckCanStartLoad(const Context& context,
                                 const LoadSpec& spec) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  absl::Status CheckHasLoad(const Context& context) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  absl::Status LoadNotFound(const Context& context) const;
  absl::Status LoadTooLarge(const Context& context, PageCount wanted,
                            PageCount had) const;
  void FreeLoadPages(const PfnSet& pages) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Compares the next pages with what they must hold.
  void CheckBatch(const LastWrites& last, LoadCheck& check) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  bool LoadRuns() const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // That no page of `pfns` is the load's.
  absl::Status CheckNoLoad(const Context& context, PfnExtent pfns) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  void AuditLoad(std::vector<std::string>& findings) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);

  // domain_memory.cc
  absl::Status CheckPages(const Context& context, Pfn pfn, uint64_t offset,
                          uint64_t size, bool writing) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Appends `count` pages to `spare`, for contents; errors as WriteMemory().
  absl::Status TakeSpare(const Context& context, size_t count,
                         std::vector<PagePtr>& spare);
  // Whether WriteContent() takes a page of `spare`.
  bool TakesPage(Pfn pfn, absl::string_view data) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Whether a page that is RAM was ever written.
  bool HasContent(Pfn pfn) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Writes to one page that is RAM, and no page of the kernel's.  Every write
  // to a guest's memory comes here.
  // REQUIRES: offset + data.size() <= kPageSize; `spare` is not empty if
  // TakesPage().
  void WriteContent(Pfn pfn, uint64_t offset, absl::string_view data,
                    std::vector<PagePtr>& spare)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What a frame holds that is about to be held for others; null for zeros.
  PagePtr TakeContent(Mfn mfn, Pfn pfn) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Constant after construction.
  const DomainId id_;
  const Abi* const abi_;
  const FrameReach reach_;  // frames it can be given
  const DomainSpec spec_;
  const MemorySetup setup_;
  const Pfn area_limit_;
  const PageCount boot_pages_;  // see PagesToBoot()
  FramePool& pool_;
  AllocationFaults* const faults_;

  // Set once, then read without the lock.
  std::atomic<bool> booted_ = false;
  LifeEnd end_;

  // A lock of its own, so that the host can rename without waiting for a long
  // operation; nothing is locked under it.
  mutable absl::Mutex name_mu_;
  std::string name_ ABSL_GUARDED_BY(name_mu_);

  Vcpus vcpus_;  // synchronises itself

  // Locked under mu_ to change what is shown, and to look without it; nothing
  // is locked under it.
  mutable absl::Mutex info_mu_;
  Shown shown_ ABSL_GUARDED_BY(info_mu_);

  mutable absl::Mutex mu_ ABSL_ACQUIRED_BEFORE(info_mu_);
  // What each pfn is.  Lookups take no lock once booted_.
  const std::unique_ptr<P2mWords> words_;
  // The list over the words: the builder's until boot, then the kernel's.  A
  // domain that pages come into has neither.
  std::optional<BuilderList> built_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<P2mList> list_ ABSL_GUARDED_BY(mu_);
  Life life_ ABSL_GUARDED_BY(mu_){end_};
  Reservation reservation_ ABSL_GUARDED_BY(mu_);
  DirtyLog dirty_ ABSL_GUARDED_BY(mu_);
  FreePages free_pages_ ABSL_GUARDED_BY(mu_);
  // Null until a PAE guest has booted.
  std::unique_ptr<AddressSpaces> address_spaces_ ABSL_GUARDED_BY(mu_);
  Balloon balloon_ ABSL_GUARDED_BY(mu_);
  // Room to balloon at boot; constant once booted_.
  std::vector<PfnExtent> extra_regions_;
  PageContents contents_ ABSL_GUARDED_BY(mu_);
  // Null if there is none.  Shared so that a check can tell it from a later
  // one.
  std::shared_ptr<GuestLoad> load_ ABSL_GUARDED_BY(mu_);
  MfnSet unmapped_frames_ ABSL_GUARDED_BY(mu_);  // owned, in no word
  PfnSet foreign_ ABSL_GUARDED_BY(mu_);          // pfns with foreign words
  // Frames that moved, and that went back, at boot.
  PageCount remapped_ ABSL_GUARDED_BY(mu_);
  PageCount released_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_DOMAIN_H_
