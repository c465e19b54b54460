// The p2m list that a domain's builder leaves for the kernel: a plain array of
// words for the initial pages, in pages of the guest.
//
// Our builder puts it into the lowest free pages.  Another builder may use any
// pages of the domain, in any order.  While it sets up its memory, a kernel
// marks room and holes in the list (p2m.md A3); then it moves the list to its
// area: P2mList::Relocate() consumes this object.
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
#include "domain/p2m/change_permit.h"
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
// area: on PAE they do; a 64-bit kernel copies them and frees the builder's
// pages (p2m.md A7).
inline bool LeavesStayInPlace(const Abi& abi) {
  return abi.arch == Arch::kX86_32Pae;
}

class BuilderList {
 public:
  // Builds a list for nr_pages pages in pages of `source`, with all words
  // INVALID.  `words` must outlive it.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED: pages and words are unchanged.
  // REQUIRES: words.size() is 0, and nr_pages fits their capacity.
  static absl::StatusOr<BuilderList> Build(P2mWords& words, PageCount nr_pages,
                                           PageSource& source);

  // The list for nr_pages pages that another builder has put into the pages
  // `leaves`, in order of leaves.  Its words are the domain's.
  // INVALID_ARGUMENT RANGE_INVALID unless `leaves` has one page per leaf;
  // OUT_OF_RANGE PFN_OUT_OF_RANGE for a page at or above nr_pages;
  // FAILED_PRECONDITION PFN_NOT_RAM for a page without a frame, and
  // PAGE_IN_USE_BY_KERNEL for a page that is named twice.
  // REQUIRES: words.size() is nr_pages, rounded up to whole leaves.
  static absl::StatusOr<BuilderList> Found(P2mWords& words, PageCount nr_pages,
                                           absl::Span<const Pfn> leaves);

  // The list of a foreign kernel, which never boots here; `leaves` are the RAM
  // pages that hold it, in order of leaves.  A page that is named twice, such
  // as a shared leaf, counts for its first leaf.  Calls `stop` now and then;
  // a status other than OK becomes the result.
  static absl::StatusOr<BuilderList> OfForeignKernel(
      P2mWords& words, absl::Span<const uint64_t> leaves, StopCheck stop);

  BuilderList(BuilderList&&) = default;
  BuilderList& operator=(BuilderList&&) = default;

  P2mWords& words() const { return *words_; }
  uint64_t leaves() const { return leaves_; }
  // One past the last pfn of the list.
  Pfn end() const { return end_; }
  // One past the largest pfn managed: end(), or the end of the room that was
  // added last.
  Pfn max_pfn() const { return max_pfn_; }

  // p2m.md A4: the word of the list; past its end INVALID in room to balloon
  // below max_pfn(), and identity elsewhere.
  P2mWord Lookup(Pfn pfn) const;
  // Counts the words by class, and all leaves as private_leaves.
  P2mSummary Summary() const;

  // Adds room to balloon, which may be empty, and sets max_pfn() to its end,
  // even if that lowers it.  Relocation drops room past the end of the area.
  void AddExtraRegion(PfnExtent pfns);
  // Removes pfns from the room.
  void RemoveExtraRegion(PfnExtent pfns) { extra_.Remove(pfns); }
  const PfnSet& extra_regions() const { return extra_; }
  // Notes that frames will be placed at `pfns` once the list is published, for
  // RelocationPlan::PagesToBoot() only.
  void ExpectFramesAt(PfnExtent pfns) { expected_.Add(pfns); }
  const PfnSet& expected_frames() const { return expected_; }

  // p2m.md A10: makes the words of [start, end), cut at end(), identity, and
  // returns their number; 0 if start is past the list or past end.  RAM words
  // are overwritten: the caller has moved or freed their frames.
  PageCount MarkIdentity(const ChangePermit& permit, Pfn start, Pfn end);

  // The guest pages of the list, each a kBuilderList, and the same by leaf.
  const StructurePages& pages() const { return pages_; }
  absl::Span<const PfnExtent> pages_by_leaf() const { return by_leaf_; }
  // Fills `page` with the words in page `pfn`; false if that is not a page of
  // the list.
  bool Render(Pfn pfn, absl::Span<char> page) const;

 private:
  BuilderList(P2mWords& words, uint64_t leaves, Pfn end)
      : words_(&words), leaves_(leaves), end_(end), max_pfn_(end) {}

  // Notes the pages of consecutive leaves from `leaf` on.
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
