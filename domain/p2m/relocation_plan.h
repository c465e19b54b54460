// What the area looks like after relocation of a builder's list (p2m.md A7).
//
// The words that the builder left and the kernel marked decide which mids of
// the area are shared or private, and which leaves of private mids.  Mids past
// all these words are shared identity.
//
// Thread safety: thread-compatible; reads the list that it was made from.

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

// One past the last pfn of the area of a list: the larger of max_pfn, the end
// of the pfns managed, and `limit`, rounded up to whole mids (p2m.md A7).
Pfn AreaEnd(const Abi& abi, Pfn max_pfn, Pfn limit);

class RelocationPlan {
 public:
  // Consecutive leaves of one backing.
  struct LeafRun {
    Backing backing;
    uint64_t count;
  };

  // `from` must outlive the plan; meanwhile, only words past its end may
  // change.
  RelocationPlan(const BuilderList& from, const P2mOptions& options, Pfn limit);

  Pfn area_end() const { return area_end_; }
  // The extra regions, cut at the end of the area.
  const PfnSet& room() const { return room_; }
  // The first mid from which on all mids are shared identity.
  uint64_t identity_mids() const { return identity_mids_; }
  // The leaves of a mid; one run for all of them if the mid is shared.
  // REQUIRES: the mid is in the area.
  std::vector<LeafRun> LeavesOf(uint64_t mid) const;
  // Whether `leaf`, if it is private, stays in the builder's page.
  bool StaysInPlace(uint64_t leaf) const {
    return LeavesStayInPlace(abi_) && leaf < from_.leaves();
  }

  // The number of pages that the relocation, the first publication for tools,
  // and the placing of the expected frames take from a source.
  PageCount PagesToBoot() const;

 private:
  uint64_t LeafOf(Pfn pfn) const { return pfn.value() / abi_.leaf_span(); }
  uint64_t MidOf(Pfn pfn) const { return pfn.value() / abi_.mid_span(); }
  // Pfns from `pfn` on of the same element class, cut at `end`: a part of them,
  // and all.
  PageCount ElementPiece(Pfn pfn, Pfn end, P2mClass* p2m_class) const;
  PageCount ElementRun(Pfn pfn, Pfn end, P2mClass* p2m_class) const;
  uint64_t IdentityMids() const;
  // The number of pages for mid `mid` and its leaves, if leaves with pfns of
  // `split` do not keep sharing the identity leaf.
  uint64_t PagesOfMid(uint64_t mid, const PfnSet& split) const;
  // The number of leaves with pfns that are in both `pfns` and `within`.
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
