// What becomes of a builder's list when it moves to its area (A7).
//
// Each mid of the area is shared or private, and so is each leaf of a private
// mid, as the words say that the builder left and the kernel marked.  Behind
// the last of them all is shared identity.
//
// Thread safety: thread-compatible; reads the list that it was made of.

#ifndef SIMVISOR_DOMAIN_P2M_RELOCATION_PLAN_H_
#define SIMVISOR_DOMAIN_P2M_RELOCATION_PLAN_H_

#include <cstdint>
#include <vector>

#include "domain/collections/extent_set.h"
#include "domain/p2m/builder_list.h"
#include "domain/p2m/leaf_map.h"
#include "domain/p2m/p2m_options.h"
#include "domain/units/abi.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor {

// One past the last pfn of the area of a list that manages pfns below max_pfn
// and is sized for `limit` pfns at least: both rounded up to whole mids (A7).
Pfn AreaEnd(const Abi& abi, Pfn max_pfn, Pfn limit);

class RelocationPlan {
 public:
  // Leaves of one backing that follow each other.
  struct LeafRun {
    Backing backing;
    uint64_t count;
  };

  // `from` must outlive the plan; only words behind it may change meanwhile.
  RelocationPlan(const BuilderList& from, const P2mOptions& options, Pfn limit);

  Pfn area_end() const { return area_end_; }
  // The extra regions, as far as the area reaches.
  const PfnSet& room() const { return room_; }
  // The first mid from which on nothing but shared identity is left.
  uint64_t identity_mids() const { return identity_mids_; }
  // The leaves of a mid; one run for all of them if the mid is shared.
  // REQUIRES: the mid is in the area.
  std::vector<LeafRun> LeavesOf(uint64_t mid) const;
  // Whether `leaf`, if it is private, stays in the builder's page.
  bool StaysInPlace(uint64_t leaf) const {
    return LeavesStayInPlace(abi_) && leaf < from_.leaves();
  }

  // Pages that the relocation, the first publication for tools and the frames
  // that are expected take from a source.
  PageCount PagesToBoot() const;

 private:
  uint64_t LeafOf(Pfn pfn) const { return pfn.value() / abi_.leaf_span(); }
  uint64_t MidOf(Pfn pfn) const { return pfn.value() / abi_.mid_span(); }
  // Pfns from `pfn` on that are of its element class, cut at `end`; one piece
  // of them, and the whole.
  PageCount ElementPiece(Pfn pfn, Pfn end, P2mClass* p2m_class) const;
  PageCount ElementRun(Pfn pfn, Pfn end, P2mClass* p2m_class) const;
  uint64_t IdentityMids() const;
  // Pages that mid `mid` and its leaves take, if leaves with pfns of `split`
  // do not stay the shared identity leaf.
  uint64_t PagesOfMid(uint64_t mid, const PfnSet& split) const;
  // Leaves with pfns of `pfns` in `within`.
  uint64_t LeavesIn(const PfnSet& pfns, PfnExtent within) const;

  const BuilderList& from_;
  const Abi& abi_;
  const P2mOptions options_;
  const Pfn area_end_;
  PfnSet room_;
  uint64_t identity_mids_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_RELOCATION_PLAN_H_
