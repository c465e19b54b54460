// One guest kernel that has booted, here or before it was saved: its p2m list,
// free pages, balloon, processes, load, and mappings of foreign frames.
//
// It knows neither pool nor lock nor clock.  It asks the hypervisor through
// Hypercalls, and reads and writes pages of its domain through GuestMemory.
// Boot() or Decode() makes a guest; its domain installs it and keeps it to the
// end.
//
// An operation that can fail half-way has two parts: a check or preparation,
// which changes no word, and a commit, which cannot fail.
//
// Source: drivers/xen/balloon.c, arch/x86/xen/p2m.c, arch/x86/xen/setup.c.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_GUEST_GUEST_H_
#define SIMVISOR_DOMAIN_GUEST_GUEST_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/allocation_faults.h"
#include "domain/balloon/balloon.h"
#include "domain/collections/extent_set.h"
#include "domain/collections/state_codec.h"
#include "domain/guest/built_image.h"
#include "domain/guest/down_plan.h"
#include "domain/guest/free_pages.h"
#include "domain/guest/guest_config.h"
#include "domain/guest/guest_load.h"
#include "domain/guest/guest_memory.h"
#include "domain/guest/guest_types.h"
#include "domain/guest/hypercalls.h"
#include "domain/guest/kernel_pages.h"
#include "domain/guest/suspend_record.h"
#include "domain/p2m/change_permit.h"
#include "domain/p2m/p2m_list.h"
#include "domain/p2m/p2m_words.h"
#include "domain/p2m/structure_pages.h"
#include "domain/processes/address_spaces.h"
#include "domain/units/abi.h"
#include "domain/units/findings.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"

namespace simvisor {

class Guest final : public KernelPages {
 public:
  // --- How it comes to be ----------------------------------------------------

  // Boots from `image`, which is used up, and gives back frames for which the
  // guest's map has no RAM.  `memory` has the frames of the image; afterwards
  // the guest computes its kernel pages.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED if the kernel gets too few pages,
  // FAILED_PRECONDITION PAGE_IN_USE_BY_KERNEL if the list lies where the map
  // has no RAM; then image and domain are as before.
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
    // Whether the notes are of a driver that took room to balloon off its
    // figures.
    bool less_room = false;
    // Whether the notes end with the guest's load, or without one.  If not,
    // they say whether there is a load, and more follows.
    bool last_of_notes = false;
    const GuestNotes& notes;
    AllocationFaults* faults = nullptr;
  };
  // A guest, and its words, which have no frames yet.
  struct Decoded {
    std::unique_ptr<P2mWords> words;
    std::unique_ptr<Guest> guest;
  };
  // Makes the guest that Encode() wrote.  Its list is stale for tools, and it
  // has no memory until Attach().
  // INVALID_ARGUMENT IMAGE_MALFORMED, with field, offset, value and limit, or
  // with a finding of Check(); RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED;
  // the status of `stop`.
  static absl::StatusOr<Decoded> Decode(const Saved& saved, const Abi& abi,
                                        StateReader& in, StopCheck stop);
  // Gives the guest the memory of its domain.
  // REQUIRES: the guest was made with the words of `memory`.
  void Attach(GuestMemory& memory);
  // Appends the pages that the guest has, and all that it knows about itself.
  // Fails with the status of `stop`; `out` is useless then.
  // REQUIRES: foreign() is empty.
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
  // Null unless it is a PAE guest, and after Forget().
  AddressSpaces* processes() { return processes_.get(); }
  const AddressSpaces* processes() const { return processes_.get(); }
  // Null if the guest has no load.  Shared, so that a check can tell the load
  // from a later one.
  const std::shared_ptr<GuestLoad>& load() { return load_; }
  std::shared_ptr<const GuestLoad> load() const { return load_; }
  void SetLoad(std::shared_ptr<GuestLoad> load) { load_ = std::move(load); }
  // What the boot found and did.
  struct AtBoot {
    std::vector<PfnExtent> extra_regions;  // room to balloon
    PageCount remapped;                    // frames that moved
    PageCount released;                    // frames that it gave back
  };
  const AtBoot& at_boot() const { return at_boot_; }

  // --- Balloon ---------------------------------------------------------------

  // Takes up to `pages` free pages that are to leave the guest.
  DownPlan PlanDown(PageCount pages);
  // Moves planned pages out of the guest, and adds their number to *moved.  A
  // status of Preempted() ends the move and is the result; then `plan` is what
  // has not moved.
  absl::Status CommitDown(DownPlan& plan, Hypercalls& hypercalls,
                          PageCount* moved);
  // Makes what is left of the plan free again.
  void AbandonDown(DownPlan& plan);
  // Moves up to `pages` pages into the guest, with frames of the domain's
  // claim, and counts them in *moved.  A status of Preempted() ends the move
  // and is the result; pages that have moved stay moved.
  // REQUIRES: *moved is 0.
  absl::Status MoveUp(PageCount pages, Hypercalls& hypercalls,
                      PageCount* moved);

  // --- Words (p2m.md A6, A10) ------------------------------------------------

  // Words that are about to change, and what happens to the frames under them.
  struct RangePlan {
    PfnExtent pfns;
    RangeFill fill;
    RamPolicy policy;
    std::vector<MfnExtent> frames;  // under RAM words
    std::vector<PfnExtent> taken;   // taken out of the free pages
    PageCount list_pages;           // that the list had before
  };
  // Checks all that can be checked before pages are taken.
  // FAILED_PRECONDITION PAGE_IN_USE_BY_KERNEL, GUEST_LOAD_RUNNING,
  // PFN_HOLDS_FOREIGN, PFN_HOLDS_RAM; the status of Preempted().
  absl::StatusOr<RangePlan> PlanRange(const Context& context, PfnExtent pfns,
                                      const RangeFill& fill, RamPolicy policy,
                                      Hypercalls& hypercalls) const;
  // Takes the pages that the list needs for the plan, and takes pages in the
  // plan's range out of the free pages.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED; then the list keeps pages that
  // it has taken (p2m.md A6), and nothing else has changed.
  absl::Status PrepareRange(const Context& context, RangePlan& plan);
  // Makes the pages that a prepared plan took out free again.
  void AbandonRange(const RangePlan& plan);
  // Stores the words of a prepared plan; cannot fail.
  RangeChange CommitRange(const RangePlan& plan, Hypercalls& hypercalls);

  // --- Foreign frames (guest_foreign.cc) -------------------------------------

  // pfns with foreign words.
  const PfnSet& foreign() const { return foreign_; }
  // Maps a frame at a missing pfn.  A failure changes nothing, except that the
  // list keeps pages that it has taken.
  // OUT_OF_RANGE PFN_OUT_OF_RANGE, MFN_NOT_ADDRESSABLE, MFN_OUT_OF_RANGE;
  // FAILED_PRECONDITION PFN_NOT_MISSING, FRAME_NOT_FOREIGN;
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED.
  absl::Status MapForeign(const Context& context, const ForeignSlot& slot,
                          Hypercalls& hypercalls);
  // Makes a foreign word INVALID, and appends its frame to `mfns`.  The caller
  // passes these to Hypercalls::UnmapForeign().  OUT_OF_RANGE PFN_OUT_OF_RANGE;
  // INVALID_ARGUMENT PFN_NOT_FOREIGN.
  absl::Status UnmapForeign(const ChangePermit& permit, const Context& context,
                            Pfn pfn, std::vector<Mfn>& mfns);
  // Gives up every mapping when the domain is dying, and leaves the words as
  // they are.  Returns how many frames of dying owners this frees.
  PageCount DropForeign(Hypercalls& hypercalls);

  // --- The rest --------------------------------------------------------------

  // Drops the contents with which the kernel's own pages and `record_pages`
  // came: the guest computes the former, and the latter are free again.
  void ForgetStoredPages(absl::Span<const Pfn> record_pages);

  // Ends processes and load.  List and words stay, since lookups may still be
  // under way.
  void Forget();
  // Adds a finding for each of the guest's invariants that does not hold.
  // `ram` is the number of its RAM words, which every caller has counted.
  void Check(PageCount ram, Findings& findings) const;

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
  Guest(GuestConfig config, std::unique_ptr<P2mList> list,
        FreePages free_pages);

  const Abi& abi() const { return list_->abi(); }

  // guest_balloon.cc
  // Moves the pages at `pfns`, which the caller took out of the free pages, out
  // of the guest.  If it is stopped, `pfns` is what is left of them.
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
  // Sets kernel_image_ to the pages in `ram` that have no other use.
  void FindKernelImage(const PfnSet& ram);
  absl::Status CheckLeafPages(absl::Span<const uint64_t> pages,
                              StopCheck stop) const;

  // guest_check.cc
  void CheckProcesses(Findings& findings) const;
  void CheckBalloon(Findings& findings) const;
  void CheckForeignWords(Findings& findings) const;
  void CheckUseOfPages(PageCount ram, Findings& findings) const;

  const GuestConfig config_;
  GuestMemory* memory_ = nullptr;  // its domain's, once attached
  std::unique_ptr<P2mList> list_;
  FreePages free_pages_;
  std::unique_ptr<AddressSpaces> processes_;
  Balloon balloon_;
  std::shared_ptr<GuestLoad> load_;
  // Pages above the first MiB that hold what is not simulated: pages that the
  // builder filled, or pages for which the notes name no use.
  PfnSet kernel_image_;
  PfnSet foreign_;
  AtBoot at_boot_;
  // Pages of plans: RAM, and neither free nor in use.
  PageCount in_transit_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_GUEST_H_
