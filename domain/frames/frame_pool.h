// All frames of the machine: the owner and pfn of each, and which are free.
//
// A FrameTable holds the state, owner and m2p entry of each frame in one cell,
// so a whole extent costs one descriptor, and finds free frames without
// scanning those in use.
//
// Frames are handed out deterministically: the same machine, seed and calls
// give the same mfns.  kLowest gives the lowest free frames, in extents as long
// as possible.  kScatter gives single frames from places drawn by the seed: the
// first free frame at or after each place.
//
// A frame may be mapped by domains that do not own it.  If its owner frees it
// meanwhile it stays owned, held without an m2p entry, until its last mapping
// is removed; see ForeignRefs.  Every frame is still counted once.
//
// free + owned + reserved = total at every moment.  Claims are promises made
// against free frames (XENMEM_claim_pages); other callers cannot take promised
// frames.  A claim may be limited to low frames, those below low_end().  All
// promises can be kept as long as
//   (1) low claims <= free low frames, and (2) all claims <= free frames.
// A new claim must leave both true.  Frames for an unrestricted claim come from
// the low frames only while more of these are free than promised.  Without a
// spare low frame, a high frame is free, since by (2) all unrestricted
// claims fit into the high frames.
//
// Units: frames of 4096 bytes.
//
// Thread safety: all methods may be called from any thread.  Each call holds
// one mutex, the last in the lock order (Host -> Domain -> FramePool), which
// read-only calls share.  counts(), available() and HeldBy() wait for no other
// call.

#ifndef SIMVISOR_DOMAIN_FRAMES_FRAME_POOL_H_
#define SIMVISOR_DOMAIN_FRAMES_FRAME_POOL_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "base/allocation_faults.h"
#include "domain/frames/foreign_refs.h"
#include "domain/frames/frame_run.h"
#include "domain/frames/frame_table.h"
#include "domain/frames/page_contents.h"
#include "domain/frames/page_store.h"
#include "domain/frames/scatter_places.h"
#include "domain/units/units.h"

namespace simvisor {

enum class Placement { kLowest, kScatter };

// Which frames can meet a claim.
enum class FrameReach {
  kAll,
  kLow,  // frames below FramePool::low_end()
};

class FramePool;

// A promise of frames.  The destructor gives up what is left of it.
//
// Thread safety: one thread at a time.
class FrameClaim {
 public:
  FrameClaim() = default;
  FrameClaim(FrameClaim&& other) noexcept;
  FrameClaim& operator=(FrameClaim&& other) noexcept;
  ~FrameClaim();

  PageCount remaining() const { return remaining_; }

 private:
  friend class FramePool;
  FrameClaim(FramePool* pool, PageCount pages, FrameReach reach)
      : pool_(pool), remaining_(pages), reach_(reach) {}

  FramePool* pool_ = nullptr;  // outlives the claim
  PageCount remaining_;
  FrameReach reach_ = FrameReach::kAll;
};

class FramePool {
 public:
  struct Counts {
    PageCount total, free, owned, reserved, claimed;
  };

  // A machine whose RAM is `ram` (ascending, disjoint, not empty).  All of it
  // is free except the frames below `reserved_below`, which the hypervisor
  // keeps.  kScatter uses `seed`.  Low frames are those below `low_end`; None()
  // means the machine's end.  `faults`, if not null, may fail each claim and
  // each allocation of contents, and must outlive the pool.  Frames may hold
  // `contents_limit` pages of contents; 0 means no limit.
  //
  // INVALID_ARGUMENT MEMORY_SIZE_INVALID if `ram` is empty, E820_MALFORMED if
  // it is not as above or ends beyond 52-bit physical addresses;
  // RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED if the system refuses the
  // address space.
  static absl::StatusOr<std::unique_ptr<FramePool>> Create(
      const std::vector<MfnExtent>& ram, Mfn reserved_below,
      Placement placement, uint64_t seed, Mfn low_end = Mfn::None(),
      AllocationFaults* faults = nullptr,
      PageCount contents_limit = PageCount(0));

  // The store of pages for frame contents.
  const std::shared_ptr<PageStore>& store() const { return store_; }

  // The counts after the last finished call.  Takes no lock, so a reader does
  // not wait while another call fills a large domain.
  Counts counts() const;
  // How many frames within `reach` were free and unclaimed then.
  PageCount available(FrameReach reach) const;
  // One past the last frame.
  Mfn max_mfn() const { return max_mfn_; }
  // One past the last low frame, at most max_mfn().
  Mfn low_end() const { return low_end_; }

  // Promises `pages` frames.  RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED if fewer
  // within `reach` are free and unclaimed; the message states how many are.
  absl::StatusOr<FrameClaim> Claim(PageCount pages,
                                   FrameReach reach = FrameReach::kAll)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Adds `pages` to `claim`; errors as for Claim().
  absl::Status Extend(FrameClaim& claim, PageCount pages,
                      FrameReach reach = FrameReach::kAll)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Promises as many frames as possible, at most `pages`; may be 0.
  FrameClaim ClaimUpTo(PageCount pages, FrameReach reach = FrameReach::kAll)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Gives `owner` frames for pfns [first, first + count) out of `claim`, sets
  // their m2p entries, and reports them in pfn order, some extents at a time
  // with the pfn of their first frame (XENMEM_populate_physmap).  Cannot fail,
  // but stops after about kMaxExtents extents, so that other calls do not wait
  // long; returns how many pfns have frames now.
  // REQUIRES: count <= claim.remaining().  `visit` must not call the pool.
  using VisitFrames = absl::FunctionRef<void(Pfn, absl::Span<const MfnExtent>)>;
  PageCount Populate(FrameClaim& claim, DomainId owner, PfnExtent pfns,
                     VisitFrames visit) ABSL_LOCKS_EXCLUDED(mu_);
  static constexpr int kMaxExtents = 1 << 16;

  // Returns the content of a frame, either taken from its owner's contents or
  // made up; null for zeros.  Must not call the pool.
  using TakeContent = absl::FunctionRef<PagePtr(Mfn mfn, Pfn pfn)>;

  // Frees the frames; they have no owner and no m2p entry afterwards
  // (XENMEM_decrease_reservation).  Frames that other domains map are held
  // instead; `content` is called for each of them, with its m2p entry.  Returns
  // how many are free now.  Releases the lock for a moment each time it has
  // held kMaxHeld frames.
  // REQUIRES: all frames are owned, and none of them is held.
  PageCount Free(absl::Span<const MfnExtent> extents, TakeContent content)
      ABSL_LOCKS_EXCLUDED(mu_);
  void Free(absl::Span<const MfnExtent> extents) ABSL_LOCKS_EXCLUDED(mu_) {
    Free(extents, [](Mfn, Pfn) { return PagePtr(); });
  }
  static constexpr int kMaxHeld = 1 << 12;

  // Counts a mapping of `mfn` by `mapper`, which does not own it.
  //
  // OUT_OF_RANGE MFN_OUT_OF_RANGE past the machine; FAILED_PRECONDITION
  // FRAME_NOT_FOREIGN unless another domain owns the frame and has not freed it
  // (a dying domain has).
  absl::Status MapForeign(Mfn mfn, DomainId mapper) ABSL_LOCKS_EXCLUDED(mu_);
  // The status that MapForeign() would return now.
  absl::Status CheckForeign(Mfn mfn, DomainId mapper) const
      ABSL_LOCKS_EXCLUDED(mu_);
  // Removes mappings.  Held frames without another mapping become free; returns
  // how many, and appends to *drained each owner that has no held frames any
  // more.
  // REQUIRES: MapForeign() counted all of them.
  PageCount UnmapForeign(absl::Span<const Mfn> mfns,
                         std::vector<DomainId>* drained)
      ABSL_LOCKS_EXCLUDED(mu_);

  // How many frames of `owner` are held, as of the last finished call or one
  // still running; waits for no other call.
  PageCount HeldBy(DomainId owner) const ABSL_LOCKS_EXCLUDED(held_mu_);
  // Copies the content of a held frame of `owner`, as
  // DomainContents::ReadFrame() does; returns false if `mfn` is not a held
  // frame of `owner`.
  bool ReadHeld(Mfn mfn, DomainId owner, absl::Span<char> page,
                bool* zero) const ABSL_LOCKS_EXCLUDED(mu_);

  // Sets the m2p entries of owned frames to first_pfn, first_pfn + 1, ...
  // (MMU_MACHPHYS_UPDATE); Pfn::None() clears them.
  // REQUIRES: all frames are owned.
  void SetPfns(MfnExtent frames, Pfn first_pfn) ABSL_LOCKS_EXCLUDED(mu_);

  // The state, owner and m2p entry of one frame; kNotRam past the machine.
  FrameRun Lookup(Mfn mfn) const ABSL_LOCKS_EXCLUDED(mu_);

  // Appends maximal runs of [frames.first, frames.end()) to `runs`, at most
  // max_runs; returns the mfn to continue from, or frames.end() when done.  The
  // runs of one call are consistent.
  // REQUIRES: frames.end() <= max_mfn().
  Mfn ListRuns(MfnExtent frames, size_t max_runs,
               std::vector<FrameRun>& runs) const ABSL_LOCKS_EXCLUDED(mu_);

  // Compares every count with a recount; INTERNAL with all differences.
  absl::Status CheckInvariants() const ABSL_LOCKS_EXCLUDED(mu_);
  // Compares the mapping counts with `mapped`, frame by frame; INTERNAL with
  // the first difference.
  absl::Status CheckMappings(const absl::btree_map<Mfn, uint64_t>& mapped) const
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  friend class FrameClaim;

  FramePool(FrameTable table, std::optional<ScatterPlaces> places,
            AllocationFaults* faults, PageCount contents_limit);

  // Gives up what is left of a claim.
  void Unclaim(const FrameClaim& claim) ABSL_LOCKS_EXCLUDED(mu_);
  // Add to and subtract from the counts of promised frames.
  FrameClaim AddClaim(PageCount pages, FrameReach reach)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SubtractClaim(PageCount pages, FrameReach reach)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // How many frames a new claim may be for.
  PageCount Unclaimed(FrameReach reach) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Where the next frames come from, and how many at most.
  struct Window {
    Mfn first, end;
    PageCount most;
  };
  // The window for the next frames, at most `most` of them.
  // REQUIRES: at least one frame is claimed with `reach`.
  Window NextWindow(FrameReach reach, PageCount most) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Takes at least one free frame of the window, in about max_extents extents,
  // and appends the extents to `taken`.  Returns how many frames it took.
  PageCount TakeFrames(const Window& window, size_t max_extents, DomainId owner,
                       Pfn first_pfn, std::vector<MfnExtent>& taken)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Frees the unmapped frames of `frames` and holds the rest; each held frame
  // takes one off *holds.  Stops at 0, with the unprocessed rest in `frames`.
  // Returns how many are free now.
  PageCount FreeUnmapped(MfnExtent& frames, TakeContent content, int* holds)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // INTERNAL, with one sentence, if ForeignRefs and the table disagree.
  absl::Status CheckHeld() const ABSL_SHARED_LOCKS_REQUIRED(mu_);

  absl::Status CheckForeignLocked(Mfn mfn, DomainId mapper) const
      ABSL_SHARED_LOCKS_REQUIRED(mu_);

  // Publishes the held frames of `owner` for HeldBy().
  void PublishHeld(DomainId owner) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_)
      ABSL_LOCKS_EXCLUDED(held_mu_);
  // Publishes the counts of the table for counts().
  void PublishCounts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // How many of `pages` available frames are granted when `faults_` is asked
  // for one after the other.
  PageCount Granted(PageCount pages) const;

  AllocationFaults* const faults_;
  const std::shared_ptr<PageStore> store_;  // synchronises itself
  const Mfn max_mfn_;
  const Mfn low_end_;
  const PageCount total_;
  const PageCount reserved_;
  std::atomic<uint64_t> free_;  // the others follow from it
  std::atomic<uint64_t> visible_claims_ = 0;
  std::atomic<uint64_t> visible_low_;  // low frames, free and not claimed low
  std::atomic<uint64_t> visible_held_ = 0;

  // Locked under mu_ to write, without it to read; no lock is taken under it.
  mutable absl::Mutex held_mu_;
  // Same as foreign_.HeldBy(); never zero.
  absl::flat_hash_map<DomainId, PageCount> visible_held_by_
      ABSL_GUARDED_BY(held_mu_);

  mutable absl::Mutex mu_ ABSL_ACQUIRED_BEFORE(held_mu_);
  FrameTable table_ ABSL_GUARDED_BY(mu_);
  PageCount claimed_ ABSL_GUARDED_BY(mu_);  // never more than free frames
  // The low part of claimed_; never more than the free frames below low_end_.
  PageCount claimed_low_ ABSL_GUARDED_BY(mu_);
  ForeignRefs foreign_ ABSL_GUARDED_BY(mu_);
  // Only with kScatter.
  std::optional<ScatterPlaces> places_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_FRAME_POOL_H_
