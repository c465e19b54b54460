// The simulated machine: its frames and all its domains.
//
// The server's only entry point.  A host owns the frame pool, the table of
// domains, and the CPU masks that domains share; it names domains, assigns
// their ids, builds dom0, and audits everything at once.  Callers share
// domains: if a domain is destroyed while a caller holds it, it turns DYING and
// says so.  A destroyed domain stays in the table, dying and without a name,
// while other domains map its frames.
//
// Ids are assigned upwards and cyclically from the last one used, as in Xen, so
// that the id of a destroyed domain does not come back at once.
//
// Thread safety: all public methods may be called from any thread.  Lock order:
// audit gate -> Host -> Domain -> FramePool.  The host's own lock is only held
// for a moment, so lookups do not wait for operations.  An audit holds the gate
// exclusively for its whole run; calls that put a domain into the table share
// it for a moment.

#ifndef SIMVISOR_DOMAIN_HOST_HOST_H_
#define SIMVISOR_DOMAIN_HOST_HOST_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "base/allocation_faults.h"
#include "base/byte_budget.h"
#include "domain/cpus/cpu_mask.h"
#include "domain/e820/e820.h"
#include "domain/frames/frame_pool.h"
#include "domain/host/pci_owners.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"
#include "domain/vm/domain.h"
#include "domain/vm/domain_types.h"

namespace simvisor {

struct HostConfig {
  // The machine's map.  The frames are its RAM except those below 1 MiB, which
  // the hypervisor keeps.
  E820Map e820;
  Placement placement = Placement::kLowest;
  uint64_t seed = 1;
  // Seed of the uuids that the host chooses; unset means `seed`.
  std::optional<uint64_t> uuid_seed;
  // The map that dom0's kernel is given; unset means `e820`.  dom0 boots from
  // it as its kernel uses it (domain/boot_log/dom0_map.h).
  std::optional<E820Map> dom0_e820;
  PageCount dom0_memory;
  // How far dom0 may grow; 0 means dom0_memory.  If it is less than
  // dom0_memory, dom0 starts with it, as in Xen (dom0_compute_nr_pages()).
  PageCount dom0_max_memory;
  // Whether dom0's kernel is not told a limit when it boots, as under Xen
  // without max in dom0_mem.
  bool dom0_no_ceiling = false;
  // Whether dom0's kernel reserves the area of the iBFT; for a map from a boot
  // log see domain/boot_log/ibft_log.h.
  bool dom0_reserves_ibft = false;
  // dom0's p2m area covers at least this many GiB.
  uint32_t dom0_hotplug_limit_gib = 0;
  ToolsView dom0_tools_view = ToolsView::kTree;
  // CPUs of the machine, 1 to kMaxHostCpus.
  uint32_t cpus = 64;
  // Bytes that all incoming images together may hold, not counting their
  // guests' pages (domain/image/image_memory.h).
  static constexpr uint64_t kDefaultMaxImageMemory = uint64_t{256} << 20;
  uint64_t max_image_memory = kDefaultMaxImageMemory;
  // The most pages of contents that guests may write; 0 means no limit.  See
  // PageStore.
  PageCount contents_limit;
  // Makes allocations of the machine and of its guests fail; may be null.  At
  // sites where it MayFail(), pages are given one by one.  Must outlive the
  // host and its domains.
  AllocationFaults* faults = nullptr;
  // Waits for secondary MMUs; null: BlockingWaiter().  Must outlive the host
  // and its domains.
  ChangeWaiter* waiter = nullptr;
};

struct HostInfo {
  PageCount total, free, owned, reserved;  // total = the sum of the others
  Mfn max_mfn;                             // one past the last frame
  uint32_t domains = 0;
  uint64_t seed = 0;
  Placement placement = Placement::kLowest;
  E820Map e820;
  CpuMaskTableSize cpu_masks;
  PageCount contents;        // pages with contents
  PageCount contents_limit;  // 0: no limit
  PageCount claimed;         // part of free
  uint32_t incoming = 0;     // incoming domains, not part of domains
};

// An incoming domain, which no other call finds.
struct IncomingInfo {
  DomainId id{0};
  std::string name;
  Uuid uuid{};
  PageCount claimed;  // frames promised to it
};

struct AuditReport {
  // One sentence per violated invariant; empty if all hold.
  std::vector<std::string> findings;
  uint64_t frames = 0;   // frames looked at
  uint64_t words = 0;    // RAM words looked at
  uint32_t domains = 0;  // domains looked at
};

using DomainSelector = std::variant<DomainId, std::string, Uuid>;

// "domain 7", "domain \"web\"" or "domain 2f1d...".
std::string ToString(const DomainSelector& selector);

class Host {
 public:
  // Powers the machine on and boots dom0.
  //
  // INVALID_ARGUMENT MEMORY_SIZE_INVALID (also for a map without RAM),
  // CPU_INVALID, E820_MALFORMED; FAILED_PRECONDITION E820_REMAP_OVERFLOW;
  // RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED, HOST_ADDRESS_SPACE_EXHAUSTED.
  static absl::StatusOr<std::unique_ptr<Host>> Create(const HostConfig& config);

  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // Takes no lock, so it does not wait for an audit.
  HostInfo Info() const;
  Mfn max_mfn() const { return pool_->max_mfn(); }
  // The budget that incoming images charge; synchronises itself.
  ByteBudget& image_memory() { return image_memory_; }
  // The number of domains that can be found, without dom0.
  uint32_t guest_count() const {
    return visible_.load(std::memory_order_relaxed) - 1;
  }

  // Pages with contents: the most since the last call, and the number now.
  PageStore::Use TakeContentsUse() { return pool_->store()->TakeUse(); }

  // NOT_FOUND DOMAIN_NOT_FOUND.  A dying domain is found only by its id.
  absl::StatusOr<std::shared_ptr<Domain>> Find(
      const DomainSelector& selector) const ABSL_LOCKS_EXCLUDED(mu_);

  // Find() that never waits: null if the domain is not found, or if another
  // thread is changing the table.
  std::shared_ptr<Domain> TryFind(const DomainSelector& selector) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Find() for operations that dom0 refuses: FAILED_PRECONDITION
  // DOM0_PROTECTED.
  absl::StatusOr<std::shared_ptr<Domain>> FindGuest(
      const DomainSelector& selector, absl::string_view operation) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Builds a domain and, unless start_paused, boots it.  Errors: see
  // DomainService.CreateDomain.  A failure leaves nothing behind.
  absl::StatusOr<std::shared_ptr<Domain>> CreateDomain(DomainSpec spec,
                                                       bool start_paused,
                                                       StopCheck stop)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Destroys a domain and returns how many frames went back to the pool.  The
  // domain stays, dying, while other domains map some of the rest.
  // FAILED_PRECONDITION DOM0_PROTECTED, DOMAIN_DYING.
  absl::StatusOr<PageCount> DestroyDomain(const DomainSelector& selector)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The same for exactly this domain, even if its id now names another one.
  absl::StatusOr<PageCount> DestroyDomain(const std::shared_ptr<Domain>& domain)
      ABSL_LOCKS_EXCLUDED(mu_);

  // DomainP2m::UnmapForeign().  If that releases the last frame of a dying
  // owner, the owner is removed too.
  absl::Status UnmapForeign(const Operation& operation,
                            const DomainSelector& selector,
                            absl::Span<const uint64_t> pfns,
                            ForeignReport& report) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status UnmapForeign(const Operation& operation,
                            const std::shared_ptr<Domain>& domain,
                            absl::Span<const uint64_t> pfns,
                            ForeignReport& report) ABSL_LOCKS_EXCLUDED(mu_);

  // ALREADY_EXISTS NAME_IN_USE, INVALID_ARGUMENT NAME_INVALID,
  // FAILED_PRECONDITION DOM0_PROTECTED.
  absl::StatusOr<std::shared_ptr<Domain>> RenameDomain(
      const DomainSelector& selector, absl::string_view name)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Gives an incoming domain that stands in for another (see IncomingDomain)
  // the name and uuid of that one, which from now on is called
  // NAME--migratedaway and not found by its uuid.  A no-op for other domains.
  // A name or uuid that a third domain has taken meanwhile stays there.  May
  // throw std::bad_alloc, and can then be called again.
  void TakeOver(const Domain& arrived) ABSL_LOCKS_EXCLUDED(mu_);

  // Domains with ids from `first` on, ascending, at most `limit`.
  std::vector<std::shared_ptr<Domain>> List(DomainId first, size_t limit) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // The same for incoming domains.
  std::vector<IncomingInfo> ListIncoming(DomainId first, size_t limit) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Appends runs of `frames` to `runs`, at most max_runs, and returns the mfn
  // to continue from, or frames.end() when done.  OUT_OF_RANGE
  // MFN_OUT_OF_RANGE, INVALID_ARGUMENT RANGE_INVALID.
  absl::StatusOr<Mfn> LookupFrames(MfnExtent frames, size_t max_runs,
                                   std::vector<FrameRun>& runs) const;
  // The domain that owns a frame; null if no domain that can be found owns it.
  std::shared_ptr<Domain> FindOwner(Mfn mfn) const ABSL_LOCKS_EXCLUDED(mu_);
  // Content of one frame, whatever its owner; see DomainContents::ReadFrame().
  // FAILED_PRECONDITION FRAME_NOT_READABLE, OUT_OF_RANGE MFN_OUT_OF_RANGE.
  absl::Status ReadFrame(Mfn mfn, absl::Span<char> page, bool* zero) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Checks every invariant while it holds all domains still: until it ends,
  // calls that would change or add a domain wait; read-only calls do not.  It
  // waits for running operations without blocking other domains, unless new
  // operations keep coming.  Only one audit runs at a time.  If `stop` ends it,
  // `report` holds what it found so far.
  absl::Status Audit(StopCheck stop, AuditReport& report) const
      ABSL_LOCKS_EXCLUDED(gate_, mu_);
  // The same without a StopCheck.
  AuditReport Audit() const ABSL_LOCKS_EXCLUDED(gate_, mu_);

 private:
  friend class IncomingDomain;

  // The number of frames promised to an incoming domain.
  using Promised = std::shared_ptr<std::atomic<uint64_t>>;

  // A domain in the table.  While it is being built it is not counted or
  // found; while it is dying it is found only by its id, and its name is free.
  struct Entry {
    std::shared_ptr<Domain> domain;  // null until planned
    bool visible = false;
    Promised promised;  // null unless it is incoming
    std::string name;   // empty once it is dying
    Uuid uuid{};
    std::vector<PciAddress> devices;  // owned until it is dying
  };

  // The domain that an incoming one stands in for, and the name to take over.
  struct StandIn {
    DomainId leaving;
    std::string name;
  };

  Host(const HostConfig& config, std::unique_ptr<FramePool> pool);

  absl::Status BootDom0(const HostConfig& config) ABSL_LOCKS_EXCLUDED(mu_);
  static absl::Status Dom0Protected(absl::string_view operation);

  absl::StatusOr<std::shared_ptr<Domain>> BuildDomain(Domain::Params params,
                                                      bool start_paused,
                                                      StopCheck stop)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status CompleteSpec(DomainSpec& spec) const;
  // Reserves id, name, uuid and PCI devices for a domain that is about to be
  // built; messages begin with `operation`.
  // With `leaving`, a domain of this host that is on its way here, the new one
  // stands in for it until TakeOver(): it is called NAME--incoming, and is not
  // found by its uuid.
  absl::StatusOr<DomainId> Reserve(DomainSpec& spec,
                                   absl::string_view operation,
                                   const Domain* leaving = nullptr)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Adds a planned domain: from here on an audit checks its frames.  Waits for
  // a running audit.
  void Enter(DomainId id, std::shared_ptr<Domain> domain,
             Promised promised = nullptr) ABSL_LOCKS_EXCLUDED(gate_, mu_);
  // Marks the entry as no longer incoming; a no-op if it is not.
  void EndIncoming(Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Makes an incoming domain, which has its guest or image, visible.
  void ShowArrived(DomainId id) ABSL_LOCKS_EXCLUDED(mu_);
  // Removes a domain whose building has failed.
  void Abandon(DomainId id) ABSL_LOCKS_EXCLUDED(mu_);
  // Whether `domain` is in the table with the name and uuid of `spec`.
  bool IsOf(const Domain& domain, const DomainSpec& spec) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Renames a domain in the table.
  void SetName(DomainId id, Entry& entry, absl::string_view name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // As messages name domain `id`.
  std::string TextOf(DomainId id) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Free the name and the uuid if they are this domain's; a uuid goes to the
  // domain that stands in for this one, if there is one.
  void FreeName(DomainId id, const Entry& entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FreeUuid(DomainId id, const Entry& entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Frees name, uuid and PCI devices of a domain that is about to die.
  void DropName(DomainId id, Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Removes from the table the domains among `ids` that have died and no longer
  // own a frame.  Every caller that destroys a domain, or unmaps a frame of a
  // dying domain, calls this afterwards; another thread may have removed them
  // already.
  void ForgetGone(absl::Span<const DomainId> ids) ABSL_LOCKS_EXCLUDED(mu_);
  // The same for one domain, which is appended to `gone` so that the caller can
  // release it after the lock; false if it must stay.
  bool ForgetIfGone(DomainId id, std::vector<std::shared_ptr<Domain>>& gone)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Makes a domain visible and counts it.
  void Show(Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Gives back the id of a domain that was never built.
  void ReturnId(DomainId id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<DomainId> NextId() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Uuid NewUuid() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<DomainId> FindId(const DomainSelector& selector) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  absl::Status AuditDomains(absl::Span<const std::shared_ptr<Domain>> domains,
                            StopCheck stop, AuditReport& report) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(gate_);
  // Checks what the domains came to against the machine.
  void AuditMachine(const DomainAuditTotals& domains, AuditReport& report) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(gate_);

  const E820Map e820_;
  const Placement placement_;
  const uint64_t seed_;
  AllocationFaults* const faults_;  // see HostConfig
  const HostCpus cpus_;
  const std::unique_ptr<FramePool> pool_;  // synchronises itself
  MachineMmus mmus_;                       // synchronises itself
  ByteBudget image_memory_;
  // Number of visible entries; written under mu_.
  std::atomic<uint32_t> visible_ = 0;
  // Number of incoming domains; written under mu_.
  std::atomic<uint32_t> incoming_ = 0;

  // Guards no member.  While it is held exclusively, a domain that is not in
  // the table cannot come to own frames.
  mutable absl::Mutex gate_ ABSL_ACQUIRED_BEFORE(mu_);

  mutable absl::Mutex mu_;
  absl::btree_map<DomainId, Entry> domains_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, DomainId> names_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<Uuid, DomainId> uuids_ ABSL_GUARDED_BY(mu_);
  // Incoming domains that stand in for others, until they take over or go.
  absl::flat_hash_map<DomainId, StandIn> stand_ins_ ABSL_GUARDED_BY(mu_);
  PciOwners pci_owners_ ABSL_GUARDED_BY(mu_);
  uint16_t last_id_ ABSL_GUARDED_BY(mu_) = 0;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_HOST_HOST_H_
