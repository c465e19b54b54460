// The list that a domain's builder leaves for the kernel: a plain array of the
// words of the initial pages, in pages of the guest.
//
// Ours takes its pages from the lowest free ones.  Another builder's are where
// it put them, anywhere among the pages of the domain and in any order.  A
// kernel marks room and holes in the list while it sets up its memory (A3), and
// then moves it to its area: P2mList::Relocate() eats this value.
//
// Rules are named after the sections of docs/p2m.md, as in p2m_list.h.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_P2M_BUILDER_LIST_H_
#define SIMVISOR_DOMAIN_P2M_BUILDER_LIST_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "domain/collections/extent_set.h"
#include "domain/p2m/p2m_summary.h"
#include "domain/p2m/p2m_words.h"
#include "domain/p2m/page_source.h"
#include "domain/p2m/structure_pages.h"
#include "domain/units/abi.h"
#include "domain/units/operation.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor {

// Whether private leaves stay in the builder's pages when the list moves to its
// area, as on PAE; a 64-bit kernel copies them and frees the builder's (A7).
inline bool LeavesStayInPlace(const Abi& abi) {
  return abi.arch == Arch::kX86_32Pae;
}

class BuilderList {
 public:
  // Makes the list of nr_pages pages in pages of `source`; all its words are
  // INVALID.  `words` must outlive it.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED: pages and words are as before.
  // REQUIRES: words.size() is 0, and nr_pages fits their capacity.
  static absl::StatusOr<BuilderList> Build(P2mWords& words, PageCount nr_pages,
                                           PageSource& source);

  // The list of nr_pages pages that another builder has put into `leaves`, by
  // leaf.  Its words are those of the domain.
  // INVALID_ARGUMENT RANGE_INVALID unless there is a page for each leaf;
  // OUT_OF_RANGE PFN_OUT_OF_RANGE for a page behind the domain's;
  // FAILED_PRECONDITION PFN_NOT_RAM for one without a frame, and
  // PAGE_IN_USE_BY_KERNEL for one that is named twice.
  // REQUIRES: words.size() is nr_pages, rounded up to whole leaves.
  static absl::StatusOr<BuilderList> Found(P2mWords& words, PageCount nr_pages,
                                           absl::Span<const Pfn> leaves);

  // The list of a kernel that is not ours, which never boots here, in the RAM
  // pages of `leaves`, by leaf.  A page that is named twice, such as a shared
  // leaf, counts for the first.  `stop` is asked now and then; a status other
  // than OK is the result.
  static absl::StatusOr<BuilderList> OfForeignKernel(
      P2mWords& words, absl::Span<const uint64_t> leaves, StopCheck stop);

  BuilderList(BuilderList&&) = default;
  BuilderList& operator=(BuilderList&&) = default;

  P2mWords& words() const { return *words_; }
  uint64_t leaves() const { return leaves_; }
  // Where the list ends.
  Pfn end() const { return end_; }
  // Largest pfn managed, plus one: end(), or where the room added last ends.
  Pfn max_pfn() const { return max_pfn_; }

  // A4: words of the list; behind it INVALID in room to balloon below
  // max_pfn(), and else identity.
  P2mWord Lookup(Pfn pfn) const;
  // The counts of the words, and leaves in private_leaves.
  P2mSummary Summary() const;

  // Adds room to balloon, which may be empty; max_pfn() becomes its end, also
  // where that is less.  Room that the area does not reach in the end is
  // dropped.
  void AddExtraRegion(PfnExtent pfns);
  // Takes pfns out of the room again.
  void RemoveExtraRegion(PfnExtent pfns) { extra_.Remove(pfns); }
  const PfnSet& extra_regions() const { return extra_; }
  // Notes that frames will be placed at `pfns` once the list is published, for
  // RelocationPlan::PagesToBoot() only.
  void ExpectFramesAt(PfnExtent pfns) { expected_.Add(pfns); }
  const PfnSet& expected_frames() const { return expected_; }

  // A10: makes the words of [start, end), cut at end(), identity, and returns
  // how many; 0 if start is past the list or past end.  RAM words are
  // overwritten: the caller has moved or freed their frames.
  PageCount MarkIdentity(Pfn start, Pfn end);

  // The guest pages that it takes, each a kBuilderList, and the same by leaf.
  const StructurePages& pages() const { return pages_; }
  absl::Span<const PfnExtent> pages_by_leaf() const { return by_leaf_; }
  // Fills `page` with the words that page `pfn` holds.  False if it is not a
  // page of the list.
  bool Render(Pfn pfn, absl::Span<char> page) const;

 private:
  BuilderList(P2mWords& words, uint64_t leaves, Pfn end)
      : words_(&words), leaves_(leaves), end_(end), max_pfn_(end) {}

  // Notes pages of consecutive leaves from `leaf` on.
  void AddPages(PfnExtent pages, uint64_t leaf);

  P2mWords* words_;  // borrowed
  uint64_t leaves_;
  Pfn end_;
  Pfn max_pfn_;
  PfnSet extra_;
  PfnSet expected_;
  StructurePages pages_;
  std::vector<PfnExtent> by_leaf_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_BUILDER_LIST_H_
