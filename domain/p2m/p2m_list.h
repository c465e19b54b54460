// The pfn -> mfn list of one PV guest, as arch/x86/xen/p2m.c keeps it.
//
// Relocate() makes it of the list that the domain's builder has left
// (BuilderList): the linear, virtually mapped area, whose holes share two
// constant leaves, and in which the set path may give leaves and mids pages of
// their own.
//
// It is a shape over the words of its domain (P2mWords): which leaf and mid has
// a page of its own, and which guest pages that takes (P2mShape).  Beside it
// are pages by which tools find the leaves (ToolsPages).  Structure, order of
// allocation and results are those of Linux; how words are stored never shows.
//
// Rules are named A1 to A12 after the sections of the p2m semantics they come
// from: A4 lookup, A6 set, A7 relocation, A8 tree, A9 save and restore, A10
// identity, A11 dump.  docs/p2m.md restates them.
//
// Thread safety: Lookup() may be called from any thread at any time and takes
// no lock; p2m_size() and generation() likewise: they read the words only.
// Shape and pages change behind the words' back: a leaf or mid that becomes
// private reads as before, word by word.  Callers serialise everything else;
// Domain does so with its mutex.

#ifndef SIMVISOR_DOMAIN_P2M_P2M_LIST_H_
#define SIMVISOR_DOMAIN_P2M_P2M_LIST_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "domain/collections/extent_set.h"
#include "domain/p2m/builder_list.h"
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

  // A7: moves the builder's list to its area, RelocationPlan::area_end(), then
  // sets every pfn of the extra regions INVALID.  RESOURCE_EXHAUSTED
  // GUEST_MEMORY_EXHAUSTED if `source` runs dry: there is no list any more, as
  // for the guest that would stop there.
  // REQUIRES: the area fits the capacity of the words.
  static absl::StatusOr<std::unique_ptr<P2mList>> Relocate(
      BuilderList from, const P2mOptions& options, Pfn limit,
      PageSource& source);

  P2mList(const P2mList&) = delete;
  P2mList& operator=(const P2mList&) = delete;

  const Abi& abi() const { return shape_.abi; }

  // Room to balloon that the kernel keeps; it may take pfns out again.
  const PfnSet& extra_regions() const { return extra_; }
  void RemoveExtraRegion(PfnExtent pfns) { extra_.Remove(pfns); }

  // --- Words of private leaves -----------------------------------------------

  // Store RAM words of one extent after the other, or INVALID ones: what the
  // balloon does.
  // REQUIRES: pfns are below p2m_size(), in private leaves.
  void StoreFrames(Pfn first, absl::Span<const MfnExtent> frames);
  void Clear(PfnExtent pfns);

  // --- Lookups ---------------------------------------------------------------

  // A4, flagged: any pfn has an answer.
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

  // Stores `word` if that takes no new page; returns whether the list now reads
  // it.
  bool TrySet(Pfn pfn, P2mWord word);

  // As TrySet(), but gives the leaf a page of its own if it has to.
  //
  // OUT_OF_RANGE PFN_OUT_OF_RANGE past the area, unless the word is INVALID,
  // and for an identity word that the ABI cannot store; MFN_NOT_ADDRESSABLE for
  // another such word.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED: no word has changed, but pages
  // taken for the levels above stay and serve the next try.
  absl::Status Set(Pfn pfn, P2mWord word, PageSource& source);

  // Gives mid and leaf of `pfn` pages of their own; words stay as they are.
  absl::Status AllocEntry(Pfn pfn, PageSource& source);

  // Set() for each pfn in ascending order, stopping at the first that fails.
  // `done`, if not null, receives how many words the list now reads as wanted.
  absl::Status SetRange(PfnExtent pfns, const RangeFill& fill,
                        PageSource& source, PageCount* done = nullptr);

  // The part of SetRange() that can fail: gives every leaf of `pfns` that it
  // would have to store in a page of its own, in the same order.  Words stay as
  // they are; after success SetRange() takes no page.  When pages run out, what
  // was taken before stays, as for Set().
  absl::Status PrepareRange(PfnExtent pfns, const RangeFill& fill,
                            PageSource& source);

  // Pages that SetRange() would take.  REQUIRES: pfns are below p2m_size().
  PageCount PagesToSet(PfnExtent pfns, const RangeFill& fill) const;

  // Gives mid and leaf of each pfn pages of their own, in ascending order, and
  // returns up to where that went well; words stay as they are.
  // REQUIRES: pfns are below p2m_size().
  Pfn AllocEntries(PfnExtent pfns, PageSource& source);

  // --- What tools see (A8, B1) -----------------------------------------------

  // Makes the pages that tools read, or, if they are there, brings them up to
  // date without taking any; the generation starts from 0 again.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED: the list is unfit for use, as
  // the guest that would stop there.
  absl::Status Publish(PageSource& source);
  // Whether tools may read it: from Publish() to MakeStale().
  bool fresh() const { return fresh_; }
  // A9: the words have other frames than tools were told.
  void MakeStale();
  // FAILED_PRECONDITION P2M_TREE_STALE unless fresh().
  absl::StatusOr<ToolsRoot> FindToolsRoot() const;
  const ToolsPages& tools() const { return *tools_; }

  // --- The area's PMD entries, pte_page_span() pfns each ---------------------

  uint64_t pmd_entries() const {
    return shape_.map.mids() * abi().pmds_per_mid;
  }
  // The PTE page that an entry names, which may be one of the two shared ones.
  // REQUIRES: entry < pmd_entries().
  Pfn PtePageAt(uint64_t entry) const;
  // The word of `pfn` as page tables show it whose entry for it names
  // `pte_page`; it differs from Lookup() if that entry is out of date.
  // INVALID if there is no such PTE page.  REQUIRES: pfn < p2m_size().
  P2mWord LookupThrough(Pfn pte_page, Pfn pfn) const;
  // Tells `listener`, or nobody if it is null, of entries that change from now
  // on.  It must stay until another one is set.
  void SetPmdListener(PmdListener* listener) { pmd_listener_ = listener; }

  // --- The pages it is made of -----------------------------------------------

  const P2mShape& shape() const { return shape_; }
  const StructurePages& structure() const { return shape_.pages; }
  // 1 to 4 for a page-table page, from the PTE pages up; 0 for any other page.
  int TableLevel(Pfn pfn) const;

  // Fills `page` with what structure page `pfn` holds: words, mfns of a tree
  // page, or page-table entries.  False if it is not a page of the structure.
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
  // The pages of the structure, by what they are for.
  void CountPages(P2mSummary& sum) const;
  // Adds the mid's private leaves to the count.
  absl::Status CheckMid(uint64_t mid, uint64_t& private_leaves) const;
  absl::Status CheckSharedMid(uint64_t mid) const;
  absl::Status CheckSharedLeaves(uint64_t leaf, uint64_t count) const;
  void RenderPte(uint64_t number, absl::Span<char> page) const;

  // p2m_relocate.cc
  // The rest of Relocate(), with an empty list.
  absl::Status MoveFrom(const BuilderList& from, const RelocationPlan& plan,
                        PageSource& source);
  absl::Status RelocateMid(const BuilderList& from, const RelocationPlan& plan,
                           uint64_t mid, PageSource& source);
  // Makes private leaves of the builder's pages for them.
  void KeepBuilderPages(const BuilderList& from, uint64_t first_leaf,
                        uint64_t count);

  // p2m_set.cc
  absl::Status MakeMidPrivate(uint64_t mid, PageSource& source);
  // Gives shared leaves [first, first + count) of one private mid pages;
  // returns how many got one.
  uint64_t TakeLeaves(uint64_t first, uint64_t count, PageSource& source);
  // Makes private what SetRange() of [at, end) needs private, as far as one run
  // of similar leaves of one mid goes.  `ready` receives where that ends, and
  // after a failure how far it came; it stays if that is nowhere.
  absl::Status PrepareLeaves(Pfn at, Pfn end, const RangeFill& fill,
                             PageSource& source, Pfn* ready);
  absl::Status CheckFits(PfnExtent pfns) const;
  bool IsPrivate(Pfn pfn) const {
    return !shape_.map.LeafPage(shape_.LeafOf(pfn)).is_none();
  }
  void RaiseLastPfn(Pfn pfn);

  P2mShape shape_;
  const std::unique_ptr<ToolsPages> tools_;
  PmdListener* pmd_listener_ = nullptr;  // borrowed; null for nobody
  Pfn last_pfn_;
  PfnSet extra_;
  bool fresh_ = false;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_P2M_LIST_H_
