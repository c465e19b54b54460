// The frame-list tree of a p2m list, and what its pages hold (A8).

#include <algorithm>

#include "base/error.h"
#include "base/status_macros.h"
#include "domain/p2m/p2m_list.h"
#include "domain/p2m/page_entries.h"

namespace simvisor {

absl::Status P2mList::BuildTree(PageSource& source) {
  if (!tree_built()) {
    SIMVISOR_ASSIGN_OR_RETURN(mid_missing_,
                              TakePage(PageRole::kMidMissing, 0, source));
    SIMVISOR_ASSIGN_OR_RETURN(top_page_, TakePage(PageRole::kTop, 0, source));
    SIMVISOR_ASSIGN_OR_RETURN(top_pointer_page_,
                              TakePage(PageRole::kTopByPointer, 0, source));
  }
  const uint64_t mids = std::min(shape_.mids(), abi_->words_per_page);
  for (uint64_t mid = 0; mid < mids; ++mid) {
    if (shape_.MidBacking(mid) != Backing::kPrivate) continue;
    SIMVISOR_RETURN_IF_ERROR(EnsureTreeMid(mid, source));
    shape_.TreeRebuilt(mid);
  }
  MarkPublished();
  return absl::OkStatus();
}

P2mList::TopSlot P2mList::TopSlotAt(uint64_t slot) const {
  if (slot >= shape_.mids()) {
    return frames_replaced_ ? TopSlot::kStale : TopSlot::kMidMissing;
  }
  return shape_.TreePage(slot).is_none() ? TopSlot::kMidMissing : TopSlot::kOwn;
}

P2mList::MidSlot P2mList::MidSlotAt(uint64_t top, uint64_t slot) const {
  const uint64_t leaf = top * abi_->words_per_page + slot;
  const Backing backing = LeafBacking(leaf);
  if (backing == Backing::kPrivate) return MidSlot::kLeaf;
  const bool missing =
      backing == Backing::kMissing || shape_.TreePageFilledMissing(top);
  return missing ? MidSlot::kMissing : MidSlot::kIdentity;
}

absl::Status P2mList::ReplaceFrames(
    absl::FunctionRef<MfnExtent(PfnExtent)> frames_of) {
  if (Summary().foreign > 0) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kPfnNotRam,
        "foreign mapping at migration; unmap foreign frames first");
  }
  for (Pfn at(0); at < p2m_size();) {
    const P2mRun run =
        RunAt(at, p2m_size(), P2mView::kResolved, RunMerge::kByClass);
    const bool is_ram = run.word.Class() == P2mClass::kRam;
    while (is_ram && at < run.pfns.end()) {
      const MfnExtent frames = frames_of(ExtentBetween(at, run.pfns.end()));
      words_.Fill({at, frames.count}, RangeFill::Ram(frames.first));
      at += frames.count;
    }
    at = run.pfns.end();
  }
  tools_fresh_ = false;
  frames_replaced_ = true;
  return absl::OkStatus();
}

bool P2mList::RenderPage(Pfn pfn, absl::Span<char> page) const {
  const std::optional<StructurePages::Use> use = pages_.Find(pfn);
  if (!use.has_value()) return false;
  switch (use->role) {
    case PageRole::kMissingLeaf:
    case PageRole::kIdentityLeaf:
      FillEntries(page, abi_->word_bytes, abi_->invalid_word);
      break;
    case PageRole::kMissingPte:
      FillEntries(page, kPteBytes, PteFor(missing_leaf_, /*writable=*/false));
      break;
    case PageRole::kIdentityPte:
      FillEntries(page, kPteBytes, PteFor(identity_leaf_, /*writable=*/false));
      break;
    case PageRole::kMidMissing:
      FillEntries(page, abi_->word_bytes, FrameOf(missing_leaf_).value());
      break;
    case PageRole::kBuilderList:
    case PageRole::kLeaf:
      RenderWords(words_, Pfn(use->index * abi_->leaf_span()), page);
      break;
    case PageRole::kPte:
      RenderPte(use->index, page);
      break;
    case PageRole::kTop:
      RenderTop(/*by_pointer=*/false, page);
      break;
    case PageRole::kTopByPointer:
      RenderTop(/*by_pointer=*/true, page);
      break;
    case PageRole::kTreeMid:
      RenderTreeMid(use->index, page);
      break;
    case PageRole::kUpperTable:
      RenderUpperTable(use->index, page);
      break;
  }
  return true;
}

uint64_t P2mList::PteFor(Pfn leaf_page, bool writable) const {
  return PteOf(FrameOf(leaf_page),
               writable ? PteReadWriteFlags(*abi_) : PteReadOnlyFlags(*abi_));
}

void P2mList::RenderPte(uint64_t number, absl::Span<char> page) const {
  const uint64_t first = number * abi_->ptrs_per_pte;
  for (uint64_t i = 0; i < abi_->ptrs_per_pte; ++i) {
    const Pfn own = shape_.LeafPage(first + i);
    const bool is_private = !own.is_none();
    const Pfn constant = LeafBacking(first + i) == Backing::kMissing
                             ? missing_leaf_
                             : identity_leaf_;
    StoreEntry(page, kPteBytes, i,
               PteFor(is_private ? own : constant, is_private));
  }
}

void P2mList::RenderTop(bool by_pointer, absl::Span<char> page) const {
  for (uint64_t i = 0; i < abi_->words_per_page; ++i) {
    const Pfn target =
        TopSlotAt(i) == TopSlot::kOwn ? shape_.TreePage(i) : mid_missing_;
    StoreEntry(page, abi_->word_bytes, i,
               by_pointer
                   ? abi_->direct_map_base + (target.value() << kPageShift)
                   : FrameOf(target).value());
  }
}

void P2mList::RenderTreeMid(uint64_t mid, absl::Span<char> page) const {
  for (uint64_t i = 0; i < abi_->words_per_page; ++i) {
    Pfn target = missing_leaf_;
    switch (MidSlotAt(mid, i)) {
      case MidSlot::kLeaf:
        target = shape_.LeafPage(mid * abi_->words_per_page + i);
        break;
      case MidSlot::kIdentity:
        target = identity_leaf_;
        break;
      case MidSlot::kMissing:
        break;
    }
    StoreEntry(page, abi_->word_bytes, i, FrameOf(target).value());
  }
}

}  // namespace simvisor
