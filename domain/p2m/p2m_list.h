// The pfn -> mfn list of one PV guest, as arch/x86/xen/p2m.c keeps it.
//
// Relocate() makes it of the list that the domain's builder has left
// (BuilderList): the linear, virtually mapped area, whose holes share two
// constant leaves, and in which the set path may give leaves and mids pages of
// their own.  A tree of frames (mfn_list_list) beside it serves tools.
//
// It is a shape over the words of its domain (P2mWords): which leaf and mid has
// a page of its own (LeafMap), and which guest pages that takes
// (StructurePages).  Structure, order of allocation and results are those of
// Linux; how words are stored never shows.
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
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/allocation_faults.h"
#include "domain/collections/extent_set.h"
#include "domain/collections/state_codec.h"
#include "domain/p2m/builder_list.h"
#include "domain/p2m/leaf_map.h"
#include "domain/p2m/p2m_options.h"
#include "domain/p2m/p2m_summary.h"
#include "domain/p2m/p2m_words.h"
#include "domain/p2m/page_source.h"
#include "domain/p2m/pmd_listener.h"
#include "domain/p2m/relocation_plan.h"
#include "domain/p2m/structure_pages.h"
#include "domain/units/abi.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor {

struct ListOverWords;

class P2mList {
 public:
  // Asked now and then; a status other than OK ends the call and is its result.
  using Stop = absl::FunctionRef<absl::Status()>;

  using RangeFill = simvisor::RangeFill;

  // What a slot of the tree holds (A8).  kStale: a top slot behind the area,
  // which no build has rewritten since every mfn changed.
  enum class TopSlot { kOwn, kMidMissing, kStale };
  enum class MidSlot { kLeaf, kMissing, kIdentity };

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

  const Abi& abi() const { return *abi_; }
  const P2mOptions& options() const { return options_; }

  // Room to balloon that the kernel keeps; it may take pfns out again.
  const PfnSet& extra_regions() const { return extra_; }
  void RemoveExtraRegion(PfnExtent pfns) { extra_.Remove(pfns); }

  // --- Words of private leaves -----------------------------------------------

  // Store RAM words of one extent after the other, or INVALID ones: what the
  // balloon does.
  // REQUIRES: pfns are below p2m_size(), in private leaves.
  void StoreFrames(Pfn first, absl::Span<const MfnExtent> frames);
  void ClearFrames(PfnExtent pfns);

  // --- Lookups ---------------------------------------------------------------

  // A4, flagged: any pfn has an answer.
  P2mWord Lookup(Pfn pfn) const { return words_.Lookup(pfn); }
  const P2mWords& words() const { return words_; }

  // The stored word: INVALID in shared leaves.  REQUIRES: pfn < p2m_size().
  P2mWord Raw(Pfn pfn) const;

  // The run that starts at `pfn`, cut at `end`.
  // REQUIRES: pfn < end <= p2m_size().
  P2mRun RunAt(Pfn pfn, Pfn end, P2mView view, RunMerge merge) const;

  Backing MidBacking(uint64_t mid) const { return shape_.MidBacking(mid); }
  Backing LeafBacking(uint64_t leaf) const;

  Pfn p2m_size() const { return words_.size(); }
  // The hint that tools see as max_pfn (xen_p2m_last_pfn).
  Pfn last_pfn() const { return last_pfn_; }
  uint64_t generation() const { return words_.generation(); }

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

  // Builds what options().tools_view says, or, if it is there, brings it up to
  // date without taking pages; the generation starts from 0 again.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED: the list is unfit for use, as
  // the guest that would stop there.
  absl::Status PublishToTools(PageSource& source);
  // False from ReplaceFrames() until the next publication, and before the
  // first.
  bool tools_fresh() const { return tools_fresh_; }
  // FAILED_PRECONDITION P2M_TREE_STALE unless tools_fresh().
  absl::StatusOr<ToolsRoot> FindToolsRoot() const;

  // --- Tree (A8) -------------------------------------------------------------

  // Builds the tree, or, if there is one, rewrites it without taking pages.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED as for PublishToTools().
  absl::Status BuildTree(PageSource& source);
  bool tree_built() const { return !top_page_.is_none(); }
  Pfn top_page() const { return top_page_; }

  TopSlot TopSlotAt(uint64_t slot) const;
  // REQUIRES: TopSlotAt(top) is kOwn.
  MidSlot MidSlotAt(uint64_t top, uint64_t slot) const;

  // A9: gives every RAM word a new frame; what tools see is stale afterwards.
  // `frames_of` is asked for the frames of pfns in ascending order and answers
  // for the first of them, or for as many as lie in consecutive frames.
  // FAILED_PRECONDITION PFN_NOT_RAM if there is a foreign word; nothing has
  // changed then.
  absl::Status ReplaceFrames(absl::FunctionRef<MfnExtent(PfnExtent)> frames_of);

  // --- Saved and restored guests (p2m_state.cc) ------------------------------

  // Appends what the guest's kernel knows of its list beside the frames; after
  // a failure `out` is of no use.
  // REQUIRES: no foreign word.
  absl::Status Encode(StateWriter& out, Stop stop) const;
  // What is known of a list before its notes are read.
  struct RestoredWords {
    const PfnSet& ram;  // below `end`
    Pfn end;            // what last_pfn() must be
    // Bounds of p2m_size(), the upper one within what `abi` manages.
    Pfn least_size;
    Pfn most_size;
  };
  // The list that Encode() saw, stale for tools, as ReplaceFrames() leaves it.
  // Its RAM words have numbers that mean nothing until CopyFrames().
  // INVALID_ARGUMENT IMAGE_MALFORMED if the bytes make none; the status of the
  // reader's `stop`; RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED.
  static absl::StatusOr<ListOverWords> Restore(
      const Abi& abi, const P2mOptions& options, const RestoredWords& words,
      StateReader& in, AllocationFaults* faults = nullptr);
  // --- The area's PMD entries, pte_page_span() pfns each ---------------------

  uint64_t pmd_entries() const { return shape_.mids() * abi_->pmds_per_mid; }
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

  const StructurePages& structure() const { return pages_; }
  // The page of a leaf, shared ones included.
  Pfn LeafPageAt(uint64_t leaf) const;
  // The page of the structure's root of page tables.
  // REQUIRES: published, in the linear view.
  Pfn table_root() const { return upper_tables_.front(); }
  // 1 to 4 for a page-table page, from the PTE pages up; 0 for any other page.
  int TableLevel(Pfn pfn) const;

  // Fills `page` with what structure page `pfn` holds: words, mfns of a tree
  // page, or page-table entries.  False if it is not a page of the structure.
  bool RenderPage(Pfn pfn, absl::Span<char> page) const;

  // Checks shape against words: private leaves in private mids only, shared
  // leaves uniform, tree pages where they belong.  INTERNAL with a finding.
  absl::Status CheckInvariants() const;

 private:
  friend class P2mListDecoder;

  P2mList(P2mWords& words, const P2mOptions& options);

  void EncodeMids(StateWriter& out) const;
  void EncodePages(StateWriter& out) const;
  void EncodeReusedLeaves(StateWriter& out) const;
  absl::Status EncodeIdentity(StateWriter& out, Stop stop) const;

  uint64_t LeafOf(Pfn pfn) const { return pfn.value() / abi_->leaf_span(); }
  uint64_t MidOf(Pfn pfn) const { return pfn.value() / abi_->mid_span(); }
  Mfn FrameOf(Pfn page) const { return Mfn(Lookup(page).Number()); }

  // Adds the mid's private leaves to the count.
  absl::Status CheckMid(uint64_t mid, uint64_t& private_leaves) const;
  absl::Status CheckShared(uint64_t leaf, uint64_t count) const;
  P2mRun PieceAt(Pfn pfn, Pfn end, P2mView view) const;
  void CountMid(uint64_t mid, P2mSummary& sum) const;

  // Relocate() with an empty list, but for what is not an error.
  absl::Status MoveFrom(const BuilderList& from, const RelocationPlan& plan,
                        PageSource& source);
  absl::Status RelocateMid(const BuilderList& from, const RelocationPlan& plan,
                           uint64_t mid, PageSource& source);
  // Makes private leaves of the builder's pages for them.
  void KeepBuilderPages(const BuilderList& from, uint64_t first_leaf,
                        uint64_t count);

  absl::StatusOr<Pfn> TakePage(PageRole role, uint64_t index,
                               PageSource& source);
  absl::Status MakeMidPrivate(uint64_t mid, PageSource& source);
  absl::Status EnsureTreeMid(uint64_t mid, PageSource& source);
  // Gives shared leaves [first, first + count) of one private mid pages;
  // returns how many got one.
  uint64_t TakeLeaves(uint64_t first, uint64_t count, PageSource& source);
  // Makes private what SetRange() of [at, end) needs private, as far as one run
  // of similar leaves of one mid goes.  `ready` receives where that ends, and
  // after a failure how far it came; it stays if that is nowhere.
  absl::Status PrepareLeaves(Pfn at, Pfn end, const RangeFill& fill,
                             PageSource& source, Pfn* ready);
  // Shared leaves of one backing from `leaf` on, within its mid.
  uint64_t SharedLeaves(uint64_t leaf) const;
  absl::Status CheckFits(PfnExtent pfns) const;
  void RaiseLastPfn(Pfn pfn);
  void RenderPte(uint64_t number, absl::Span<char> page) const;
  void RenderTop(bool by_pointer, absl::Span<char> page) const;
  void RenderTreeMid(uint64_t mid, absl::Span<char> page) const;
  uint64_t PteFor(Pfn leaf_page, bool writable) const;

  absl::Status BuildPageTables(PageSource& source);
  void MarkPublished();
  void RenderUpperTable(uint64_t index, absl::Span<char> page) const;
  void RenderLevelTwo(uint64_t number, absl::Span<char> page) const;

  P2mWords& words_;
  const Abi* const abi_;
  P2mOptions options_;
  PmdListener* pmd_listener_ = nullptr;  // borrowed; null for nobody
  Pfn last_pfn_;
  PfnSet extra_;
  LeafMap shape_;
  StructurePages pages_;
  // Of the builder's pages, those that the list keeps (LeavesStayInPlace()).
  uint64_t builder_leaves_ = 0;

  Pfn missing_leaf_ = Pfn::None();
  Pfn identity_leaf_ = Pfn::None();
  Pfn missing_pte_ = Pfn::None();
  Pfn identity_pte_ = Pfn::None();
  Pfn mid_missing_ = Pfn::None();
  Pfn top_page_ = Pfn::None();
  Pfn top_pointer_page_ = Pfn::None();
  std::vector<Pfn> upper_tables_;  // from the root down
  bool tools_fresh_ = false;
  bool frames_replaced_ = false;
  uint64_t pte_pages_ = 0;
  uint64_t tree_mid_pages_ = 0;
  uint64_t leaf_pages_ = 0;
  uint64_t reused_leaves_ = 0;  // of leaf_pages_, in pages of the builder
};

// A list with the words that it is a shape of.
struct ListOverWords {
  std::unique_ptr<P2mWords> words;
  std::unique_ptr<P2mList> list;
};

// Gives the RAM words of `to` the frames that `from` has for them; `stop` is
// asked now and then, and after a failure `to` is of no use.
// REQUIRES: `from` has RAM words for these pfns and no others.
absl::Status CopyFrames(const P2mWords& from, P2mWords& to, P2mList::Stop stop);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_P2M_LIST_H_
