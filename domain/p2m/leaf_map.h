// The shape of a p2m list: which mids and leaves are private, and their pages.
//
// It holds what the page tables of a real guest say: a mid points at one of the
// two shared PTE pages or has its own PTE pages, whose entries point at one of
// the two constant leaves or at a private leaf.  The words are stored elsewhere
// (P2mWords).  They tell whether a shared leaf of a private mid is the missing
// or the identity leaf, because a shared leaf's words are uniform.
//
// A private mid whose leaves are all private and lie in consecutive pages, the
// usual case, stores only the first page; other private mids store one page
// number per leaf.  Mids are allocated in groups.  A group without changes
// costs one pointer; most of an area sized for hotplug consists of such groups.
//
// Thread safety: thread-compatible; the list's callers serialise.

#ifndef SIMVISOR_DOMAIN_P2M_LEAF_MAP_H_
#define SIMVISOR_DOMAIN_P2M_LEAF_MAP_H_

#include <array>
#include <cassert>
#include <cstdint>
#include <memory>
#include <vector>

#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor {

// How a leaf or a mid is backed.
enum class Backing { kMissing, kIdentity, kPrivate };

class LeafMap {
 public:
  explicit LeafMap(const Abi& abi) : abi_(&abi) {}

  // Makes `mids` mids, all shared missing.
  // REQUIRES: the map is empty.
  void Resize(uint64_t mids) {
    assert(mids_ == 0);
    groups_.resize((mids + kGroupSize - 1) / kGroupSize);
    mids_ = mids;
  }
  uint64_t mids() const { return mids_; }
  // Makes the mids from `first` on shared identity.
  // REQUIRES: these mids are unchanged.
  void ShareRest(uint64_t first);

  Backing MidBacking(uint64_t mid) const { return At(mid).backing; }
  // REQUIRES: `shared` is not kPrivate and the mid is not private.
  void SetShared(uint64_t mid, Backing shared) {
    assert(shared != Backing::kPrivate && MidBacking(mid) != Backing::kPrivate);
    if (MidBacking(mid) != shared) Make(mid).backing = shared;
  }
  // Gives a shared mid its own PTE pages; all its leaves stay shared.
  void MakePrivate(uint64_t mid, const std::array<Pfn, 2>& pte_pages);

  // The page of a private leaf; None() for a shared leaf.
  Pfn LeafPage(uint64_t leaf) const;
  // Makes shared leaves of one private mid private, in these pages.
  void SetLeafPages(uint64_t first_leaf, PfnExtent pages);
  // The number of leaves from `leaf` on, within its mid, that are all private
  // or all shared; at least 1.
  uint64_t SimilarLeaves(uint64_t leaf) const;

  // PTE page `number` of a private mid; None() from pmds_per_mid on.
  // REQUIRES: number < 2.
  Pfn PtePage(uint64_t mid, uint64_t number) const {
    assert(number < 2);
    return At(mid).pte_pages[number];
  }

  // The mid's tree page; None() if it has no tree page.
  Pfn TreePage(uint64_t mid) const { return At(mid).tree_page; }
  // `filled_missing`: slots of all shared leaves read p2m_missing, because a
  // set made the page, not a build of the tree.
  void SetTreePage(uint64_t mid, Pfn page, bool filled_missing);
  bool TreePageFilledMissing(uint64_t mid) const {
    return At(mid).tree_filled_missing;
  }
  void TreeRebuilt(uint64_t mid) { Make(mid).tree_filled_missing = false; }

 private:
  struct Mid {
    Mid() = default;
    explicit Mid(Backing shared) : backing(shared) {}

    Backing backing = Backing::kMissing;
    bool tree_filled_missing = false;
    std::array<Pfn, 2> pte_pages = {Pfn::None(), Pfn::None()};
    Pfn tree_page = Pfn::None();
    // If set, every leaf i lies in page leaf_run + i.
    Pfn leaf_run = Pfn::None();
    // Otherwise the page of each leaf, None() for a shared leaf; null if all
    // are shared.
    std::unique_ptr<Pfn[]> leaf_pages;
  };

  static constexpr uint64_t kGroupSize = 64;
  // Mids of groups that are not allocated.
  static const Mid kSharedMissing;
  static const Mid kSharedIdentity;

  const Mid& At(uint64_t mid) const {
    const Mid* const group = groups_[mid / kGroupSize].get();
    if (group != nullptr) return group[mid % kGroupSize];
    return mid < identity_from_ ? kSharedMissing : kSharedIdentity;
  }
  // The mid, for changes.
  Mid& Make(uint64_t mid) {
    if (groups_[mid / kGroupSize] == nullptr) MakeGroup(mid / kGroupSize);
    return groups_[mid / kGroupSize][mid % kGroupSize];
  }
  void MakeGroup(uint64_t number);
  uint64_t LeavesPerMid() const { return abi_->words_per_page; }

  const Abi* abi_;
  uint64_t mids_ = 0;
  uint64_t identity_from_ = ~uint64_t{0};  // only for unallocated groups
  std::vector<std::unique_ptr<Mid[]>> groups_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_LEAF_MAP_H_
