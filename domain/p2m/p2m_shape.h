// The shape of a relocated p2m list: which mids and leaves have pages of their
// own, which pages these are, and the words in them.
//
// The list, the pages that tools read, and the notes of a save image share it.
// The list changes it (p2m_list.h).  The others only read it, except that they
// note their own pages in it.
//
// Thread safety: thread-compatible; P2mList says which calls may overlap.

#ifndef SIMVISOR_DOMAIN_P2M_P2M_SHAPE_H_
#define SIMVISOR_DOMAIN_P2M_P2M_SHAPE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domain/p2m/leaf_map.h"
#include "domain/p2m/p2m_words.h"
#include "domain/p2m/page_source.h"
#include "domain/p2m/structure_pages.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor {

// RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED; the message names the purpose of
// the page.
absl::Status NoPageFor(PageRole role, uint64_t index);

struct P2mShape {
  // `all_words` must outlive the shape.
  explicit P2mShape(P2mWords& all_words)
      : words(all_words), abi(all_words.abi()), map(abi) {}
  P2mShape(const P2mShape&) = delete;
  P2mShape& operator=(const P2mShape&) = delete;

  uint64_t LeafOf(Pfn pfn) const { return pfn.value() / abi.leaf_span(); }
  uint64_t MidOf(Pfn pfn) const { return pfn.value() / abi.mid_span(); }
  Mfn FrameOf(Pfn page) const { return Mfn(words.Lookup(page).Number()); }

  Backing LeafBacking(uint64_t leaf) const;
  // The number of shared leaves of one backing from `leaf` on, within its mid.
  // REQUIRES: `leaf` is shared.
  uint64_t SharedLeaves(uint64_t leaf) const;

  // The page of a leaf, and the page that a PMD entry of the area names; both
  // may be shared pages.
  Pfn LeafPageAt(uint64_t leaf) const;
  Pfn PtePageAt(uint64_t entry) const;

  // Takes a page and notes it.  Fails with NoPageFor() and without changing
  // anything.
  absl::StatusOr<Pfn> TakePage(PageRole role, uint64_t index,
                               PageSource& source);

  P2mWords& words;
  const Abi& abi;
  LeafMap map;
  StructurePages pages;

  // p2m_missing, p2m_identity, and the PTE pages full of one of them.
  Pfn missing_leaf = Pfn::None();
  Pfn identity_leaf = Pfn::None();
  Pfn missing_pte = Pfn::None();
  Pfn identity_pte = Pfn::None();

  // The numbers of PTE pages of private mids, and of pages of private leaves.
  uint64_t pte_pages = 0;
  uint64_t leaf_pages = 0;
  // How many of leaf_pages are pages of the builder's list, and how many pages
  // the builder's list has.  Both are 0 unless LeavesStayInPlace().
  uint64_t kept_leaves = 0;
  uint64_t builder_leaves = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_P2M_SHAPE_H_
