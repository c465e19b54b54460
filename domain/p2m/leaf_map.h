// The shape of a p2m list: which mids and leaves are private, and their pages.
//
// What page tables say on a real guest: a mid points at one of the two shared
// PTE pages or has PTE pages of its own, whose entries point at one of the two
// constant leaves or at a private leaf.  The words themselves are elsewhere;
// whether a shared leaf of a private mid is the missing or the identity one
// follows from its words, which are uniform.
//
// A private mid whose leaves are all private and lie in consecutive pages, the
// usual case, keeps only the first page; others keep one page number per leaf.
// Mids are kept in groups, and a group that nobody has changed, such as most of
// an area that is sized for memory to come, costs a pointer.
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

  // Makes `mids` mids, all shared missing.  REQUIRES: there are none.
  void Resize(uint64_t mids) {
    assert(mids_ == 0);
    groups_.resize((mids + kGroupSize - 1) / kGroupSize);
    mids_ = mids;
  }
  uint64_t mids() const { return mids_; }
  // Makes the mids from `first` on shared identity.  REQUIRES: none of them has
  // been changed.
  void ShareRest(uint64_t first);

  Backing MidBacking(uint64_t mid) const { return At(mid).backing; }
  // REQUIRES: `shared` is not kPrivate and the mid is not private.
  void SetShared(uint64_t mid, Backing shared) {
    assert(shared != Backing::kPrivate && MidBacking(mid) != Backing::kPrivate);
    if (MidBacking(mid) != shared) Make(mid).backing = shared;
  }
  // Gives a shared mid PTE pages of its own; all its leaves stay shared.
  void MakePrivate(uint64_t mid, const std::array<Pfn, 2>& pte_pages);

  // Page of a private leaf; None() for a shared one.
  Pfn LeafPage(uint64_t leaf) const;
  // Gives shared leaves of one private mid pages of their own.
  void SetLeafPages(uint64_t first_leaf, PfnExtent pages);
  // Leaves from `leaf` on, within its mid, that are private as it is, or shared
  // as it is; at least 1.
  uint64_t SimilarLeaves(uint64_t leaf) const;

  // The number-th PTE page of a private mid; None() from pmds_per_mid on.
  // REQUIRES: number < 2.
  Pfn PtePage(uint64_t mid, uint64_t number) const {
    assert(number < 2);
    return At(mid).pte_pages[number];
  }

  // Tree page of the mid; None() if it has none.
  Pfn TreePage(uint64_t mid) const { return At(mid).tree_page; }
  // `filled_missing`: slots of shared leaves read p2m_missing, since the page
  // was made by a set and not by a build of the tree.
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
    // Leaf i lies in page leaf_run + i, for all leaves; or None().
    Pfn leaf_run = Pfn::None();
    // Else page of leaf i, None() for a shared one; null if all are shared.
    std::unique_ptr<Pfn[]> leaf_pages;
  };

  static constexpr uint64_t kGroupSize = 64;
  // What a mid is whose group is not there.
  static const Mid kSharedMissing;
  static const Mid kSharedIdentity;

  const Mid& At(uint64_t mid) const {
    const Mid* const group = groups_[mid / kGroupSize].get();
    if (group != nullptr) return group[mid % kGroupSize];
    return mid < identity_from_ ? kSharedMissing : kSharedIdentity;
  }
  // The mid, to be changed.
  Mid& Make(uint64_t mid) {
    if (groups_[mid / kGroupSize] == nullptr) MakeGroup(mid / kGroupSize);
    return groups_[mid / kGroupSize][mid % kGroupSize];
  }
  void MakeGroup(uint64_t number);
  uint64_t LeavesPerMid() const { return abi_->words_per_page; }

  const Abi* abi_;
  uint64_t mids_ = 0;
  uint64_t identity_from_ = ~uint64_t{0};  // counts for groups not there
  std::vector<std::unique_ptr<Mid[]>> groups_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_LEAF_MAP_H_
