// One guest kernel that has booted, here or before it was saved: its p2m list,
// free pages, balloon, processes, load, and mappings of foreign frames.
//
// It knows neither pool nor lock nor clock.  What it wants of the machine it
// asks by Hypercalls, and pages of its domain it reads and writes by
// GuestMemory.  It comes to be by Boot() or Decode(), which the domain then
// installs, and stays with its domain until that is gone.
//
// What changes it in steps that can fail is cut in two: a check or preparation,
// after which nothing has changed, and a commit, which cannot fail.
//
// Source: drivers/xen/balloon.c, arch/x86/xen/p2m.c, arch/x86/xen/setup.c.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_GUEST_GUEST_H_
#define SIMVISOR_DOMAIN_GUEST_GUEST_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/allocation_faults.h"
#include "domain/balloon/balloon.h"
#include "domain/collections/extent_set.h"
#include "domain/collections/state_codec.h"
#include "domain/guest/built_image.h"
#include "domain/guest/free_pages.h"
#include "domain/guest/guest_config.h"
#include "domain/guest/guest_load.h"
#include "domain/guest/guest_memory.h"
#include "domain/guest/guest_types.h"
#include "domain/guest/hypercalls.h"
#include "domain/guest/kernel_pages.h"
#include "domain/guest/suspend_record.h"
#include "domain/p2m/p2m_list.h"
#include "domain/processes/address_spaces.h"
#include "domain/units/abi.h"
#include "domain/units/findings.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"

namespace simvisor {

class Guest final : public KernelPages {
 public:
  // --- How it comes to be ----------------------------------------------------

  // Boots from `image`, whose frames are in `memory`, and gives back frames for
  // which its map has no RAM.  The kernel pages of `memory` are its own then.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED if its kernel gets too few pages,
  // FAILED_PRECONDITION PAGE_IN_USE_BY_KERNEL if the list lies where the map
  // has no RAM: image and domain are as before.
  static absl::StatusOr<std::unique_ptr<Guest>> Boot(const Context& context,
                                                     BuiltImage& image,
                                                     GuestMemory& memory,
                                                     Hypercalls& hypercalls);

  // What is known of a saved guest before its part of the notes is read.
  struct Saved {
    DomainId id;
    GuestConfig config;
    const PfnSet& ram;  // its pages
    Pfn end;            // of the image's pfns
    PageCount target;   // of its domain
    // The notes are of a driver that took room to balloon off its figures.
    bool less_room = false;
    const GuestNotes& notes;
    AllocationFaults* faults = nullptr;
  };
  // A guest, and words for it that have no frames yet.
  struct Decoded {
    std::unique_ptr<P2mWords> words;
    std::unique_ptr<Guest> guest;
  };
  // Makes the guest that Encode() saw, stale for tools and without memory.
  // INVALID_ARGUMENT IMAGE_MALFORMED, with field, offset, value and limit, or
  // with a finding of Check(); RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED;
  // the status of `stop`.
  static absl::StatusOr<Decoded> Decode(const Saved& saved, const Abi& abi,
                                        StateReader& in, StopCheck stop);
  // Gives it the memory of its domain.  REQUIRES: the words are those that it
  // was made with.
  void Attach(GuestMemory& memory) { memory_ = &memory; }
  // Appends the pages it has and all that it knows about itself; after a
  // failure `out` is of no use.  REQUIRES: it has no foreign word.
  absl::Status Encode(StateWriter& out, StopCheck stop) const;

  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;
  ~Guest() override;

  // --- Parts -----------------------------------------------------------------

  const GuestConfig& config() const { return config_; }
  P2mList& list() { return *list_; }
  const P2mList& list() const { return *list_; }
  FreePages& free_pages() { return free_pages_; }
  const FreePages& free_pages() const { return free_pages_; }
  Balloon& balloon() { return balloon_; }
  const Balloon& balloon() const { return balloon_; }
  // Null unless it is a PAE guest.
  AddressSpaces* processes() { return processes_.get(); }
  const AddressSpaces* processes() const { return processes_.get(); }
  // Null if there is none.  Shared, so that a check can tell it from a later
  // one.
  const std::shared_ptr<GuestLoad>& load() { return load_; }
  std::shared_ptr<const GuestLoad> load() const { return load_; }
  void SetLoad(std::shared_ptr<GuestLoad> load) { load_ = std::move(load); }
  // Room to balloon that it found at boot.
  const std::vector<PfnExtent>& extra_regions() const { return extra_regions_; }
  // Frames that moved, and that went back, at boot.
  PageCount remapped() const { return remapped_; }
  PageCount released() const { return released_; }

  // --- Balloon ---------------------------------------------------------------

  // Move pages out of it, or into it, as many as there are, and count them in
  // *moved.  What Preempted() says ends it; what has moved stays moved.  Up,
  // pages have frames of the domain's claim.
  absl::Status MoveDown(PageCount pages, Hypercalls& hypercalls,
                        PageCount* moved);
  absl::Status MoveUp(PageCount pages, Hypercalls& hypercalls,
                      PageCount* moved);

  // --- Words (A6, A10) -------------------------------------------------------

  // Words that are about to change, and what becomes of the frames under them.
  struct RangePlan {
    PfnExtent pfns;
    RangeFill fill;
    RamPolicy policy;
    std::vector<MfnExtent> frames;  // under RAM words
    std::vector<PfnExtent> held;    // pages that were free
    PageCount list_pages;           // of the list before
  };
  // All that can be checked before pages are taken.  FAILED_PRECONDITION
  // PAGE_IN_USE_BY_KERNEL, GUEST_LOAD_RUNNING, PFN_HOLDS_FOREIGN,
  // PFN_HOLDS_RAM.
  absl::StatusOr<RangePlan> PlanRange(const Context& context, PfnExtent pfns,
                                      const RangeFill& fill, RamPolicy policy,
                                      Hypercalls& hypercalls) const;
  // Takes the pages of the list that the plan needs, and its own pages out of
  // the free ones.  RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED; then pages taken
  // for the list stay (A6), and nothing else has changed.
  absl::Status PrepareRange(const Context& context, RangePlan& plan);
  // Gives free pages of a prepared plan back.
  void AbandonRange(const RangePlan& plan);
  // Stores the words of a prepared plan.
  RangeChange CommitRange(const RangePlan& plan, Hypercalls& hypercalls);

  // --- Foreign frames (guest_foreign.cc) -------------------------------------

  // pfns with foreign words.
  const PfnSet& foreign() const { return foreign_; }
  // Maps a frame at a missing pfn.  A failure changes nothing, but for pages
  // that the list took.  OUT_OF_RANGE PFN_OUT_OF_RANGE, MFN_NOT_ADDRESSABLE,
  // MFN_OUT_OF_RANGE; FAILED_PRECONDITION PFN_NOT_MISSING, FRAME_NOT_FOREIGN;
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED.
  absl::Status MapForeign(const Context& context, const ForeignSlot& slot,
                          Hypercalls& hypercalls);
  // Makes a foreign word INVALID, and appends its frame, whose mapping is to be
  // counted off, to `mfns`.  OUT_OF_RANGE PFN_OUT_OF_RANGE; INVALID_ARGUMENT
  // PFN_NOT_FOREIGN.
  absl::Status UnmapForeign(const Context& context, Pfn pfn,
                            std::vector<Mfn>& mfns);
  // Gives up every mapping of a dying domain without touching the words;
  // returns how many frames of dying owners that frees.
  PageCount DropForeign(Hypercalls& hypercalls);

  // --- The rest --------------------------------------------------------------

  // Forgets what the kernel's own pages and `record_pages` came with: their
  // content follows from its state.
  void ForgetStoredPages(absl::Span<const Pfn> record_pages);

  // The end of processes and load.  List and words stay, for those who still
  // look words up.
  void Forget();
  // Appends a sentence for each invariant of its own that does not hold.
  void Check(Findings& findings) const;

  // KernelPages.
  bool Render(Pfn pfn, absl::Span<char> page) const override;
  const StructurePages& list_pages() const override {
    return list_->structure();
  }
  bool HoldsPageTables(PfnExtent pfns) const override {
    return processes_ != nullptr && processes_->Intersects(pfns);
  }
  Pfn NextFrom(Pfn pfn) const override;
  int TableLevel(Pfn pfn) const override;

 private:
  Guest(DomainId id, GuestConfig config, std::unique_ptr<P2mList> list,
        FreePages free_pages);

  const Abi& abi() const { return list_->abi(); }

  // guest_balloon.cc
  // Takes the pages at `pfns`, which are free no more, out of it; those still
  // to go are left in `pfns` when it is stopped.
  absl::Status MoveExtentDown(PfnExtent& pfns, Hypercalls& hypercalls);

  // guest_ranges.cc
  absl::Status CheckNoLoad(const Context& context, PfnExtent pfns) const;
  absl::Status CheckNoForeign(const Context& context, PfnExtent pfns) const;

  // guest_foreign.cc
  absl::Status CheckSlot(const Context& context, const ForeignSlot& slot) const;

  // guest_notes.cc
  void DecodeParts(const Saved& saved, StateReader& in);
  void DecodeFreePages(StateReader& in);
  void DecodeExtraRegions(StateReader& in);
  void DecodeBalloon(const Saved& saved, StateReader& in);
  void DecodeLoad(StateReader& in);
  // Of the pages in `ram`, those without another use.
  void FindKernelImage(const PfnSet& ram);
  absl::Status CheckLeafPages(absl::Span<const uint64_t> pages,
                              StopCheck stop) const;

  // guest_check.cc
  void CheckFreePages(Findings& findings) const;
  void CheckProcesses(Findings& findings) const;
  void CheckLoad(Findings& findings) const;
  void CheckBalloon(Findings& findings) const;
  void CheckForeignWords(Findings& findings) const;
  void CheckUseOfPages(Findings& findings) const;

  const DomainId id_;
  const GuestConfig config_;
  GuestMemory* memory_ = nullptr;  // its domain's, once attached
  std::unique_ptr<P2mList> list_;
  FreePages free_pages_;
  std::unique_ptr<AddressSpaces> processes_;
  Balloon balloon_;
  std::shared_ptr<GuestLoad> load_;
  // Pages above the first MiB that it uses for what is not simulated: what its
  // builder filled, or what its notes tell no other use of.
  PfnSet kernel_image_;
  PfnSet foreign_;
  std::vector<PfnExtent> extra_regions_;
  PageCount remapped_;
  PageCount released_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_GUEST_H_
