#include "domain/p2m/p2m_tree.h"

#include <algorithm>
#include <cassert>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/p2m/page_entries.h"

namespace simvisor {

absl::Status P2mTree::Publish(PageSource& source) {
  if (!built()) {
    SIMVISOR_ASSIGN_OR_RETURN(
        mid_missing_, shape_.TakePage(PageRole::kMidMissing, 0, source));
    SIMVISOR_ASSIGN_OR_RETURN(top_, shape_.TakePage(PageRole::kTop, 0, source));
    SIMVISOR_ASSIGN_OR_RETURN(
        top_by_pointer_, shape_.TakePage(PageRole::kTopByPointer, 0, source));
  }
  const uint64_t mids = std::min(shape_.map.mids(), shape_.abi.words_per_page);
  for (uint64_t mid = 0; mid < mids; ++mid) {
    if (shape_.map.MidBacking(mid) != Backing::kPrivate) continue;
    SIMVISOR_RETURN_IF_ERROR(MidGrew(mid, source));
    shape_.map.TreeRebuilt(mid);
  }
  return absl::OkStatus();
}

ToolsRoot P2mTree::root() const {
  assert(built());
  ToolsRoot root;
  root.view = ToolsView::kTree;
  root.root = shape_.FrameOf(top_);
  return root;
}

absl::Status P2mTree::MidGrew(uint64_t mid, PageSource& source) {
  if (PagesToGrow(mid) == PageCount(0)) return absl::OkStatus();
  SIMVISOR_ASSIGN_OR_RETURN(const Pfn page,
                            shape_.TakePage(PageRole::kTreeMid, mid, source));
  shape_.map.SetTreePage(mid, page, /*filled_missing=*/true);
  ++mid_pages_;
  return absl::OkStatus();
}

PageCount P2mTree::PagesToGrow(uint64_t mid) const {
  return PageCount(Reaches(mid) && shape_.map.TreePage(mid).is_none() ? 1 : 0);
}

void P2mTree::CountPages(P2mSummary& sum) const {
  if (built()) sum.fixed_frames += kFixedPages;
  sum.tree_mid_frames = mid_pages_;
}

absl::Status P2mTree::CheckMid(uint64_t mid, bool has_private_leaves) const {
  const bool has_page = !shape_.map.TreePage(mid).is_none();
  if (has_private_leaves && Reaches(mid) && !has_page) {
    return absl::InternalError(absl::StrFormat(
        "p2m mid %d has private leaves, but no tree page", mid));
  }
  const bool is_private = shape_.map.MidBacking(mid) == Backing::kPrivate;
  if (has_page && !(is_private && Reaches(mid))) {
    return absl::InternalError(
        absl::StrFormat("p2m mid %d must not have a tree page", mid));
  }
  return absl::OkStatus();
}

bool P2mTree::Adopt(Pfn page, PageRole role, uint64_t index) {
  const auto put = [page](Pfn& place) {
    if (!place.is_none()) return false;
    place = page;
    return true;
  };
  switch (role) {
    case PageRole::kMidMissing:
      return put(mid_missing_);
    case PageRole::kTop:
      return put(top_);
    case PageRole::kTopByPointer:
      return put(top_by_pointer_);
    case PageRole::kTreeMid:
      break;
    default:
      return false;
  }
  LeafMap& map = shape_.map;
  if (index >= std::min(map.mids(), shape_.abi.words_per_page) ||
      map.MidBacking(index) != Backing::kPrivate ||
      !map.TreePage(index).is_none()) {
    return false;
  }
  map.SetTreePage(index, page, map.TreePageFilledMissing(index));
  ++mid_pages_;
  return true;
}

bool P2mTree::IsComplete() const {
  return !mid_missing_.is_none() && !top_.is_none() &&
         !top_by_pointer_.is_none();
}

P2mTree::TopSlot P2mTree::TopSlotAt(uint64_t slot) const {
  if (slot >= shape_.map.mids()) {
    return frames_changed_ ? TopSlot::kStale : TopSlot::kMidMissing;
  }
  return shape_.map.TreePage(slot).is_none() ? TopSlot::kMidMissing
                                             : TopSlot::kOwn;
}

P2mTree::MidSlot P2mTree::MidSlotAt(uint64_t top, uint64_t slot) const {
  assert(TopSlotAt(top) == TopSlot::kOwn);
  const uint64_t leaf = top * shape_.abi.words_per_page + slot;
  const Backing backing = shape_.LeafBacking(leaf);
  if (backing == Backing::kPrivate) return MidSlot::kLeaf;
  const bool missing =
      backing == Backing::kMissing || shape_.map.TreePageFilledMissing(top);
  return missing ? MidSlot::kMissing : MidSlot::kIdentity;
}

void P2mTree::Render(StructurePages::Use use, absl::Span<char> page) const {
  switch (use.role) {
    case PageRole::kMidMissing:
      FillEntries(page, shape_.abi.word_bytes,
                  shape_.FrameOf(shape_.missing_leaf).value());
      return;
    case PageRole::kTop:
      return RenderTop(/*by_pointer=*/false, page);
    case PageRole::kTopByPointer:
      return RenderTop(/*by_pointer=*/true, page);
    case PageRole::kTreeMid:
      return RenderMid(use.index, page);
    default:
      assert(false);
  }
}

void P2mTree::RenderTop(bool by_pointer, absl::Span<char> page) const {
  const Abi& abi = shape_.abi;
  for (uint64_t i = 0; i < abi.words_per_page; ++i) {
    const Pfn target =
        TopSlotAt(i) == TopSlot::kOwn ? shape_.map.TreePage(i) : mid_missing_;
    StoreEntry(page, abi.word_bytes, i,
               by_pointer ? abi.direct_map_base + (target.value() << kPageShift)
                          : shape_.FrameOf(target).value());
  }
}

void P2mTree::RenderMid(uint64_t mid, absl::Span<char> page) const {
  const Abi& abi = shape_.abi;
  for (uint64_t i = 0; i < abi.words_per_page; ++i) {
    Pfn target = shape_.missing_leaf;
    switch (MidSlotAt(mid, i)) {
      case MidSlot::kLeaf:
        target = shape_.map.LeafPage(mid * abi.words_per_page + i);
        break;
      case MidSlot::kIdentity:
        target = shape_.identity_leaf;
        break;
      case MidSlot::kMissing:
        break;
    }
    StoreEntry(page, abi.word_bytes, i, shape_.FrameOf(target).value());
  }
}

}  // namespace simvisor
