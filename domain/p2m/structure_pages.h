// The guest pages that a p2m list takes, and the purpose of each.
//
// Consecutive pages taken for the same purpose are one entry, so a list of any
// size costs a handful of entries per mid.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_P2M_STRUCTURE_PAGES_H_
#define SIMVISOR_DOMAIN_P2M_STRUCTURE_PAGES_H_

#include <cstdint>
#include <optional>

#include "absl/container/btree_map.h"
#include "domain/units/units.h"

namespace simvisor {

enum class PageRole {
  kBuilderList,   // the domain builder's list; index: leaf
  kMissingLeaf,   // p2m_missing
  kIdentityLeaf,  // p2m_identity
  kMissingPte,    // PTE page full of p2m_missing
  kIdentityPte,   // PTE page full of p2m_identity
  kPte,           // index: mid * pmds_per_mid + number of the PTE page
  kLeaf,          // index: leaf
  kMidMissing,    // p2m_mid_missing_mfn
  kTop,           // p2m_top_mfn
  kTopByPointer,  // p2m_top_mfn_p
  kTreeMid,       // index: mid
  kUpperTable,    // index: from the root down, level 2 pages in order
};

class StructurePages {
 public:
  struct Use {
    PageRole role;
    uint64_t index;
  };

  // Notes that `pages` have `role`, with index, index + 1, ...
  // REQUIRES: none of the pages is noted.
  void Add(PfnExtent pages, PageRole role, uint64_t index);

  // Forgets `pages`.
  // REQUIRES: they are exactly the pages that one Add() noted, or the last of
  // these.
  void Remove(PfnExtent pages);

  std::optional<Use> Find(Pfn pfn) const;

  // The first noted page from `pfn` on; None() if no page follows.
  Pfn NextFrom(Pfn pfn) const;

  // Calls visit(extent) for all noted pages, in ascending order.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const auto& [first, entry] : entries_) {
      visit(PfnExtent{first, entry.count});
    }
  }

  // Calls visit(extent, use of its first page) for all noted pages, in
  // ascending order.
  template <typename Visit>
  void ForEachUse(Visit visit) const {
    for (const auto& [first, entry] : entries_) {
      visit(PfnExtent{first, entry.count}, entry.use);
    }
  }

  // The number of noted pages.
  PageCount size() const { return size_; }
  // Whether any page of `extent` is noted.
  bool Intersects(PfnExtent extent) const;

 private:
  struct Entry {
    PageCount count;
    Use use;
  };
  absl::btree_map<Pfn, Entry> entries_;
  PageCount size_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_STRUCTURE_PAGES_H_
