// The pfn -> mfn list of one PV guest, as arch/x86/xen/p2m.c keeps it.
//
// Relocate() moves the list that the domain's builder left (BuilderList) to the
// linear, virtually mapped area.  Holes in the area share two constant leaves;
// the set path gives leaves and mids pages of their own when it must.
//
// The list is a shape over the words of its domain (P2mWords): it says which
// leaves and mids have pages of their own, and which guest pages these are
// (P2mShape).  Tools find the leaves through further pages (ToolsPages).
// Structure, order of allocation and results are the same as in Linux; how the
// words are stored is not visible.
//
// Rules are cited by the sections of docs/p2m.md: A4 lookup, A6 set, A7
// relocation, A8 tree, A9 restore, A10 identity, A11 dump, B1 what tools see.
//
// Thread safety: Lookup(), p2m_size() and generation() may be called from any
// thread at any time and take no lock, because they read only the words.
// Changes of shape and pages do not change a word: a leaf or mid that becomes
// private reads as before.  Callers serialise everything else; Domain does so
// with its mutex.

#ifndef SIMVISOR_DOMAIN_P2M_P2M_LIST_H_
#define SIMVISOR_DOMAIN_P2M_P2M_LIST_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "domain/collections/extent_set.h"
#include "domain/p2m/builder_list.h"
#include "domain/p2m/change_permit.h"
#include "domain/p2m/leaf_map.h"
#include "domain/p2m/p2m_options.h"
#include "domain/p2m/p2m_shape.h"
#include "domain/p2m/p2m_summary.h"
#include "domain/p2m/p2m_words.h"
#include "domain/p2m/page_source.h"
#include "domain/p2m/pmd_listener.h"
#include "domain/p2m/relocation_plan.h"
#include "domain/p2m/structure_pages.h"
#include "domain/p2m/tools_pages.h"
#include "domain/units/abi.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor {

class P2mList {
 public:
  using RangeFill = simvisor::RangeFill;

  // A7: moves the builder's list to its area, which ends at
  // RelocationPlan::area_end(), then sets every pfn of the extra regions
  // INVALID.  RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED if `source` runs out of
  // pages: the list is lost, as a real guest would stop there.
  // REQUIRES: the area fits the capacity of the words.
  static absl::StatusOr<std::unique_ptr<P2mList>> Relocate(
      const ChangePermit& permit, BuilderList from, const P2mOptions& options,
      Pfn limit, PageSource& source);

  P2mList(const P2mList&) = delete;
  P2mList& operator=(const P2mList&) = delete;

  const Abi& abi() const { return shape_.abi; }

  // The room to balloon that the kernel keeps, and a way to remove pfns from
  // it.
  const PfnSet& extra_regions() const { return extra_; }
  void RemoveExtraRegion(PfnExtent pfns) { extra_.Remove(pfns); }

  // --- Words of private leaves -----------------------------------------------

  // What the balloon does: StoreFrames() stores RAM words for the frames of one
  // extent after the other, Clear() stores INVALID.
  // REQUIRES: pfns are below p2m_size(), in private leaves.
  void StoreFrames(const ChangePermit& permit, Pfn first,
                   absl::Span<const MfnExtent> frames);
  void Clear(const ChangePermit& permit, PfnExtent pfns);

  // --- Lookups ---------------------------------------------------------------

  // A4: the word with its flag bits; any pfn has an answer.
  P2mWord Lookup(Pfn pfn) const { return shape_.words.Lookup(pfn); }
  const P2mWords& words() const { return shape_.words; }

  // The stored word: INVALID in shared leaves.  REQUIRES: pfn < p2m_size().
  P2mWord Raw(Pfn pfn) const;

  // The run that starts at `pfn`, cut at `end`.
  // REQUIRES: pfn < end <= p2m_size().
  P2mRun RunAt(Pfn pfn, Pfn end, P2mView view, RunMerge merge) const;

  Pfn p2m_size() const { return shape_.words.size(); }
  // The hint that tools see as max_pfn (xen_p2m_last_pfn).
  Pfn last_pfn() const { return last_pfn_; }
  uint64_t generation() const { return shape_.words.generation(); }

  P2mSummary Summary() const;

  // --- Set (A6) --------------------------------------------------------------

  // Stores `word` if that takes no new page.  Returns whether the list now
  // reads `word` at `pfn`.
  bool TrySet(const ChangePermit& permit, Pfn pfn, P2mWord word);

  // Like TrySet(), but gives the leaf a page of its own if it has to.
  //
  // OUT_OF_RANGE PFN_OUT_OF_RANGE past the area, unless the word is INVALID,
  // and for an identity word that the ABI cannot store; OUT_OF_RANGE
  // MFN_NOT_ADDRESSABLE for any other word that the ABI cannot store.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED: no word has changed, but pages
  // taken for the levels above stay and serve the next try.
  absl::Status Set(const ChangePermit& permit, Pfn pfn, P2mWord word,
                   PageSource& source);

  // Gives mid and leaf of `pfn` pages of their own; words do not change.  Fails
  // like Set().
  absl::Status AllocEntry(Pfn pfn, PageSource& source);

  // Calls Set() for each pfn in ascending order, up to the first failure.
  // `done`, if not null, receives the number of words that read as wanted.
  absl::Status SetRange(const ChangePermit& permit, PfnExtent pfns,
                        const RangeFill& fill, PageSource& source,
                        PageCount* done = nullptr);

  // The part of SetRange() that can fail: takes the pages that SetRange() would
  // take for private leaves, in the same order.  Words do not change; after
  // success SetRange() takes no page.  If pages run out, pages taken so far
  // stay, as for Set().
  absl::Status PrepareRange(PfnExtent pfns, const RangeFill& fill,
                            PageSource& source);

  // The number of pages that SetRange() would take.
  // REQUIRES: pfns are below p2m_size().
  PageCount PagesToSet(PfnExtent pfns, const RangeFill& fill) const;

  // Calls AllocEntry() for each pfn in ascending order, up to the first
  // failure; returns the pfn that failed, or pfns.end().  Words do not change.
  // REQUIRES: pfns are below p2m_size().
  Pfn AllocEntries(PfnExtent pfns, PageSource& source);

  // --- What tools see (A8, B1) -----------------------------------------------

  // Makes the pages that tools read.  If they exist, updates them without
  // taking a page.  Resets the generation to 0.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED: the list must be discarded, as a
  // real guest would stop there.
  absl::Status Publish(PageSource& source);
  // Whether tools may read the list: from Publish() to MakeStale().
  bool fresh() const { return fresh_; }
  // A9: marks the list stale: its words have new frames, unknown to tools.
  void MakeStale();
  // FAILED_PRECONDITION P2M_TREE_STALE unless fresh().
  absl::StatusOr<ToolsRoot> FindToolsRoot() const;
  const ToolsPages& tools() const { return *tools_; }

  // --- PMD entries of the area, pte_page_span() pfns each --------------------

  uint64_t pmd_entries() const {
    return shape_.map.mids() * abi().pmds_per_mid;
  }
  // The PTE page that an entry names, possibly one of the two shared PTE pages.
  // REQUIRES: entry < pmd_entries().
  Pfn PtePageAt(uint64_t entry) const;
  // The word of `pfn`, read through a PMD entry that names `pte_page`.  Differs
  // from Lookup() if that entry is out of date; INVALID if `pte_page` is not a
  // PTE page of the list.
  // REQUIRES: pfn < p2m_size().
  P2mWord LookupThrough(Pfn pte_page, Pfn pfn) const;
  // Calls `listener`, if not null, for entries that change from now on.  It
  // must stay alive until another listener is set.
  void SetPmdListener(PmdListener* listener) { pmd_listener_ = listener; }

  // --- Pages of the list -----------------------------------------------------

  const P2mShape& shape() const { return shape_; }
  const StructurePages& structure() const { return shape_.pages; }
  // 1 to 4 for a page-table page, from the PTE pages up; 0 for any other page.
  int TableLevel(Pfn pfn) const;

  // Fills `page` with the content of structure page `pfn`: words, mfns of a
  // tree page, or page-table entries.  False if `pfn` is not a structure page.
  bool Render(Pfn pfn, absl::Span<char> page) const;

  // Checks shape against words: private leaves in private mids only, shared
  // leaves uniform, tree pages where they belong.  INTERNAL with a finding.
  absl::Status CheckInvariants() const;

 private:
  friend class P2mDecoder;

  P2mList(P2mWords& words, ToolsView view);

  // p2m_list.cc
  P2mRun PieceAt(Pfn pfn, Pfn end, P2mView view) const;
  void CountMid(uint64_t mid, P2mSummary& sum) const;
  // Counts the structure's pages by purpose.
  void CountPages(P2mSummary& sum) const;
  // Adds the mid's private leaves to the count.
  absl::Status CheckMid(uint64_t mid, uint64_t& private_leaves) const;
  absl::Status CheckSharedMid(uint64_t mid) const;
  absl::Status CheckSharedLeaves(uint64_t leaf, uint64_t count) const;
  void RenderPte(uint64_t number, absl::Span<char> page) const;

  // p2m_relocate.cc
  // The rest of Relocate(), with an empty list.
  absl::Status MoveFrom(const ChangePermit& permit, const BuilderList& from,
                        const RelocationPlan& plan, PageSource& source);
  absl::Status RelocateMid(const ChangePermit& permit, const BuilderList& from,
                           const RelocationPlan& plan, uint64_t mid,
                           PageSource& source);
  // Makes leaves private in the builder's pages that already hold them.
  void KeepBuilderPages(const BuilderList& from, uint64_t first_leaf,
                        uint64_t count);

  // p2m_set.cc
  absl::Status MakeMidPrivate(uint64_t mid, PageSource& source);
  // Gives shared leaves [first, first + count) of one private mid pages of
  // their own, up to the first failure; returns how many succeeded.
  uint64_t TakeLeaves(uint64_t first, uint64_t count, PageSource& source);
  // Makes the leaves private in which SetRange() of [at, end) would store, but
  // only within the first run of similar leaves of one mid.  Sets `ready` to
  // the end of the pfns that can now be stored, also after a failure; leaves it
  // unchanged if no pfn can.
  absl::Status PrepareLeaves(Pfn at, Pfn end, const RangeFill& fill,
                             PageSource& source, Pfn* ready);
  absl::Status CheckFits(PfnExtent pfns) const;
  bool IsPrivate(Pfn pfn) const {
    return !shape_.map.LeafPage(shape_.LeafOf(pfn)).is_none();
  }
  void RaiseLastPfn(Pfn pfn);

  P2mShape shape_;
  const std::unique_ptr<ToolsPages> tools_;
  PmdListener* pmd_listener_ = nullptr;  // borrowed; may be null
  Pfn last_pfn_;
  PfnSet extra_;
  bool fresh_ = false;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_P2M_LIST_H_
