// The simulated machine: its frames and all its domains.
//
// The only door that the server uses.  A host owns the frame pool and the table
// of domains, and the masks that sets of its CPUs share; it names domains,
// hands out their ids, builds dom0, and audits everything at once.  Domains are
// shared with callers: one that is destroyed while a caller holds it turns
// DYING and says so.  A destroyed domain stays in the table, dying and without
// a name, for as long as others map its frames.
//
// Ids are handed out upwards and cyclically from the last one used, as Xen
// does, so that the id of a destroyed domain does not come back at once.
//
// Thread safety: all public methods may be called from any thread.
// Lock order: audit gate -> Host -> Domain -> FramePool.  The host's own lock
// is only ever held for a moment, so that no lookup waits for an operation. The
// gate is what an audit takes alone for its whole run, and what puts a domain
// into the table shares: Enter() for a moment, Replace() while it makes a
// guest.

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
  // The machine's map; the frames are its RAM, but for those below 1 MiB, which
  // the hypervisor keeps.
  E820Map e820;
  Placement placement = Placement::kLowest;
  uint64_t seed = 1;
  // What dom0's kernel is given; none stands for `e820`.  dom0 boots from it,
  // as its kernel takes it (domain/guest/dom0_map.h).
  std::optional<E820Map> dom0_e820;
  PageCount dom0_memory;
  // What dom0 may grow to; 0 stands for dom0_memory.  If it is less than that,
  // dom0 starts with it, as in Xen (dom0_compute_nr_pages()).
  PageCount dom0_max_memory;
  // Whether dom0's kernel hears of no limit when it boots, as under Xen without
  // max in dom0_mem.
  bool dom0_no_ceiling = false;
  // Whether dom0's kernel reserves the area of the iBFT; see
  // domain/guest/ibft_log.h for a map from a boot log.
  bool dom0_reserves_ibft = false;
  // GiB that dom0's p2m area is sized for at least.
  uint32_t dom0_hotplug_limit_gib = 0;
  ToolsView dom0_tools_view = ToolsView::kTree;
  // CPUs of the machine, 1 to kMaxHostCpus.
  uint32_t cpus = 64;
  // Bytes that all images on their way in may hold beside their guests' pages
  // (domain/image/image_memory.h).
  static constexpr uint64_t kDefaultMaxImageMemory = uint64_t{256} << 20;
  uint64_t max_image_memory = kDefaultMaxImageMemory;
  // Pages of contents that guests' writes may come to; 0 for no limit.  See
  // PageStore.
  PageCount contents_limit;
  // Makes allocations of the machine and of its guests fail.  Null unless
  // faults are injected, since pages that have to ask are given one by one;
  // must outlive the host and its domains.
  AllocationFaults* faults = nullptr;
};

struct HostInfo {
  PageCount total, free, owned, reserved;  // total = the sum of the others
  Mfn max_mfn;                             // one past the last frame
  uint32_t domains = 0;
  uint64_t seed = 0;
  Placement placement = Placement::kLowest;
  E820Map e820;
  CpuMaskTableSize cpu_masks;
  PageCount contents;        // pages that hold something
  PageCount contents_limit;  // 0: none
  PageCount claimed;         // part of free
  uint32_t incoming = 0;     // domains on their way in, not part of domains
};

// A domain on its way in, which no call finds.
struct IncomingInfo {
  DomainId id{0};
  std::string name;
  Uuid uuid{};
  PageCount claimed;  // frames that are promised to it
};

struct AuditReport {
  // One sentence per invariant that does not hold; empty if all do.
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
  // INVALID_ARGUMENT MEMORY_SIZE_INVALID (a map without RAM, too), CPU_INVALID,
  // E820_MALFORMED;
  // FAILED_PRECONDITION E820_REMAP_OVERFLOW; RESOURCE_EXHAUSTED
  // HOST_MEMORY_EXHAUSTED, HOST_ADDRESS_SPACE_EXHAUSTED.
  static absl::StatusOr<std::unique_ptr<Host>> Create(const HostConfig& config);

  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // Takes no lock: nobody who only looks waits for an audit.
  HostInfo Info() const;
  Mfn max_mfn() const { return pool_->max_mfn(); }
  // What images on their way in charge; synchronises itself.
  ByteBudget& image_memory() { return image_memory_; }
  // Domains that can be found, but for dom0.
  uint32_t guest_count() const {
    return visible_.load(std::memory_order_relaxed) - 1;
  }

  // Pages that hold something: at most since the last call, and now.
  PageStore::Use TakeContentsUse() { return pool_->store()->TakeUse(); }

  // NOT_FOUND DOMAIN_NOT_FOUND.  A dying domain is found by its id alone.
  absl::StatusOr<std::shared_ptr<Domain>> Find(
      const DomainSelector& selector) const ABSL_LOCKS_EXCLUDED(mu_);

  // The same without ever waiting: null if it is not found, or if somebody is
  // changing the table.
  std::shared_ptr<Domain> FindAtOnce(const DomainSelector& selector) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Find() for what is not done to dom0: FAILED_PRECONDITION DOM0_PROTECTED.
  absl::StatusOr<std::shared_ptr<Domain>> FindGuest(
      const DomainSelector& selector, absl::string_view operation) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Builds a domain and, unless start_paused, boots it.  Errors: see
  // DomainService.CreateDomain.  After a failure nothing is left of it.
  absl::StatusOr<std::shared_ptr<Domain>> CreateDomain(DomainSpec spec,
                                                       bool start_paused,
                                                       StopCheck stop)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Ends a domain and returns how many frames went back to the pool.  It stays,
  // dying, while other domains map some of the rest.
  // FAILED_PRECONDITION DOM0_PROTECTED, DOMAIN_DYING.
  absl::StatusOr<PageCount> DestroyDomain(const DomainSelector& selector)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The same for this very domain, and not for one that has its id by now.
  absl::StatusOr<PageCount> DestroyDomain(const std::shared_ptr<Domain>& domain)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Domain::UnmapForeign(); a dying owner whose last frame goes with it goes
  // too.
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

  // Domains with ids from `first` on, ascending, at most `limit`.
  std::vector<std::shared_ptr<Domain>> List(DomainId first, size_t limit) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // The same of those on their way in.
  std::vector<IncomingInfo> ListIncoming(DomainId first, size_t limit) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Appends runs of `frames` to `runs`, at most max_runs, and returns the mfn
  // to go on from, frames.end() when done.  OUT_OF_RANGE MFN_OUT_OF_RANGE,
  // INVALID_ARGUMENT RANGE_INVALID.
  absl::StatusOr<Mfn> LookupFrames(MfnExtent frames, size_t max_runs,
                                   std::vector<FrameRun>& runs) const;
  // The owner of a frame, if it is a domain that is found; else null.
  std::shared_ptr<Domain> FindOwner(Mfn mfn) const ABSL_LOCKS_EXCLUDED(mu_);
  // Content of one frame, whoever owns it; see Domain::ReadFrame().
  // FAILED_PRECONDITION FRAME_NOT_READABLE, OUT_OF_RANGE MFN_OUT_OF_RANGE.
  absl::Status ReadFrame(Mfn mfn, absl::Span<char> page, bool* zero) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Checks every invariant, with all domains held still: until it ends, calls
  // that would change one wait, and those that would add one; those that only
  // look do not.  It waits for operations under way without keeping other
  // domains from theirs, unless there are ever new ones.  One runs at a time.
  // When `stop` ends it, `report` holds what was found so far.
  absl::Status Audit(StopCheck stop, AuditReport& report) const
      ABSL_LOCKS_EXCLUDED(gate_, mu_);
  // The same, to the end.
  AuditReport Audit() const ABSL_LOCKS_EXCLUDED(gate_, mu_);

 private:
  friend class IncomingDomain;

  // Frames that are promised to a domain on its way in.
  using Promised = std::shared_ptr<std::atomic<uint64_t>>;

  // A domain in the table.  While it is being built it is neither counted nor
  // found; while it is dying it is found by its id alone, and its name is free.
  struct Entry {
    std::shared_ptr<Domain> domain;  // null until planned
    bool visible = false;
    Promised promised;  // null unless it is on its way in
    std::string name;   // empty once it is dying
    Uuid uuid{};
    std::vector<PciAddress> devices;  // its own until it is dying
  };

  Host(const HostConfig& config, std::unique_ptr<FramePool> pool);

  absl::Status BootDom0(const HostConfig& config) ABSL_LOCKS_EXCLUDED(mu_);
  static absl::Status Dom0Protected(absl::string_view operation);

  absl::StatusOr<std::shared_ptr<Domain>> BuildDomain(Domain::Params params,
                                                      bool start_paused,
                                                      StopCheck stop)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status CompleteSpec(DomainSpec& spec) const;
  // Takes id, name, uuid and PCI devices for a domain that is about to be
  // built; messages begin with `operation`.
  absl::StatusOr<DomainId> Reserve(DomainSpec& spec,
                                   absl::string_view operation)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Notes a planned domain: from here on an audit looks at its frames.  Waits
  // for one that is at work.
  void Enter(DomainId id, std::shared_ptr<Domain> domain,
             Promised promised = nullptr) ABSL_LOCKS_EXCLUDED(gate_, mu_);
  // It is no longer on its way in, if it was.
  void EndIncoming(Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Runs `hand_over`, puts `made` in place of the domain and lets it be found;
  // no audit comes in between, and neither is found before.
  void Replace(DomainId id, std::shared_ptr<Domain> made,
               absl::FunctionRef<void()> hand_over)
      ABSL_LOCKS_EXCLUDED(gate_, mu_);
  // Ends a domain whose building has failed.
  void Abandon(DomainId id) ABSL_LOCKS_EXCLUDED(mu_);
  // Frees name, uuid and PCI devices of a domain that is about to die.
  void TakeName(DomainId id, Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Removes those of `ids` from the table that have died and own no frame any
  // more.  Whoever makes one so, by destroying it or by the last unmapping,
  // calls this afterwards: it may find the work done.
  void ForgetGone(absl::Span<const DomainId> ids) ABSL_LOCKS_EXCLUDED(mu_);
  // The same for one, which is appended to `gone`, so that the caller can drop
  // it after the lock; false if it must stay.
  bool ForgetIfGone(DomainId id, std::vector<std::shared_ptr<Domain>>& gone)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Lets a domain be found and counted.
  void Show(Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Gives back the id of a domain that was never built.
  void TakeBackId(DomainId id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<DomainId> NextId() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Uuid NewUuid() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<DomainId> FindId(const DomainSelector& selector) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  absl::Status AuditDomains(absl::Span<const std::shared_ptr<Domain>> domains,
                            StopCheck stop, AuditReport& report) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(gate_);
  absl::Status AuditMachine(absl::Span<const std::shared_ptr<Domain>> domains,
                            PageCount held, StopCheck stop,
                            AuditReport& report) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(gate_);

  const E820Map e820_;
  const Placement placement_;
  const uint64_t seed_;
  AllocationFaults* const faults_;  // see HostConfig
  const HostCpus cpus_;
  const std::unique_ptr<FramePool> pool_;  // synchronises itself
  ByteBudget image_memory_;
  // Entries that are visible; written under mu_.
  std::atomic<uint32_t> visible_ = 0;
  // Those on their way in; written under mu_.
  std::atomic<uint32_t> incoming_ = 0;

  // Guards no member: while it is held alone, no domain comes to own frames
  // that is not in the table.
  mutable absl::Mutex gate_ ABSL_ACQUIRED_BEFORE(mu_);

  mutable absl::Mutex mu_;
  absl::btree_map<DomainId, Entry> domains_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, DomainId> names_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<Uuid, DomainId> uuids_ ABSL_GUARDED_BY(mu_);
  PciOwners pci_owners_ ABSL_GUARDED_BY(mu_);
  uint16_t last_id_ ABSL_GUARDED_BY(mu_) = 0;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_HOST_HOST_H_
