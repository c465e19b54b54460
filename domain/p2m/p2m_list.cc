#include "domain/p2m/p2m_list.h"

#include <algorithm>
#include <cassert>
#include <optional>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/p2m/p2m_tables.h"
#include "domain/p2m/p2m_tree.h"
#include "domain/p2m/page_entries.h"

namespace simvisor {
namespace {

std::unique_ptr<ToolsPages> MakeTools(ToolsView view, P2mShape& shape) {
  if (view == ToolsView::kTree) return std::make_unique<P2mTree>(shape);
  return std::make_unique<P2mTables>(shape);
}

uint64_t PteFor(const P2mShape& shape, Pfn leaf_page, bool writable) {
  return PteOf(shape.FrameOf(leaf_page), writable
                                             ? PteReadWriteFlags(shape.abi)
                                             : PteReadOnlyFlags(shape.abi));
}

}  // namespace

P2mList::P2mList(P2mWords& words, ToolsView view)
    : shape_(words), tools_(MakeTools(view, shape_)) {}

// --- Words -------------------------------------------------------------------

void P2mList::StoreFrames(const ChangePermit& permit, Pfn first,
                          absl::Span<const MfnExtent> frames) {
  assert(frames.empty() || IsPrivate(first));
  shape_.words.StoreFrames(permit, first, frames);
}

void P2mList::Clear(const ChangePermit& permit, PfnExtent pfns) {
  assert(pfns.empty() ||
         (FitsWithin(pfns.first, pfns.count, p2m_size()) &&
          IsPrivate(pfns.first) && IsPrivate(pfns.end() - PageCount(1))));
  shape_.words.Fill(permit, pfns, RangeFill::Missing());
}

P2mWord P2mList::Raw(Pfn pfn) const {
  assert(pfn < p2m_size());
  return IsPrivate(pfn) ? Lookup(pfn) : P2mWord::Invalid();
}

P2mRun P2mList::PieceAt(Pfn pfn, Pfn end, P2mView view) const {
  if (view == P2mView::kRaw) {
    const uint64_t mid = shape_.MidOf(pfn);
    const bool shared_mid = shape_.map.MidBacking(mid) != Backing::kPrivate;
    const uint64_t leaf = shape_.LeafOf(pfn);
    const Pfn similar_end =
        shared_mid
            ? Pfn((mid + 1) * abi().mid_span())
            : Pfn((leaf + shape_.map.SimilarLeaves(leaf)) * abi().leaf_span());
    end = std::min(end, similar_end);
    if (shared_mid || shape_.map.LeafPage(leaf).is_none()) {
      return {ExtentBetween(pfn, end), P2mWord::Invalid()};
    }
  }
  return words().PieceAt(pfn, end);
}

P2mRun P2mList::RunAt(Pfn pfn, Pfn end, P2mView view, RunMerge merge) const {
  assert(pfn < end && end <= p2m_size());
  if (view == P2mView::kResolved) return words().RunAt(pfn, end, merge);
  P2mRun run = PieceAt(pfn, end, view);
  while (run.pfns.end() < end &&
         ExtendRun(run, PieceAt(run.pfns.end(), end, view), merge)) {
  }
  return run;
}

// --- Figures -----------------------------------------------------------------

P2mSummary P2mList::Summary() const {
  P2mSummary sum = CountWords(words());
  sum.tools_max_pfn = last_pfn_.value();
  sum.area_bytes = sum.p2m_size * abi().word_bytes;
  for (uint64_t mid = 0; mid < shape_.map.mids(); ++mid) CountMid(mid, sum);
  CountPages(sum);
  return sum;
}

void P2mList::CountPages(P2mSummary& sum) const {
  sum.fixed_frames = 4;
  sum.pte_frames = shape_.pte_pages;
  sum.leaf_frames = shape_.leaf_pages;
  tools_->CountPages(sum);
}

void P2mList::CountMid(uint64_t mid, P2mSummary& sum) const {
  const uint64_t leaves = abi().words_per_page;
  switch (shape_.map.MidBacking(mid)) {
    case Backing::kMissing:
      ++sum.missing_mids;
      sum.missing_leaves += leaves;
      return;
    case Backing::kIdentity:
      ++sum.identity_mids;
      sum.identity_leaves += leaves;
      return;
    case Backing::kPrivate:
      break;
  }
  ++sum.private_mids;
  for (uint64_t leaf = mid * leaves; leaf < (mid + 1) * leaves;) {
    const Backing backing = shape_.LeafBacking(leaf);
    const uint64_t count = backing == Backing::kPrivate
                               ? shape_.map.SimilarLeaves(leaf)
                               : shape_.SharedLeaves(leaf);
    (backing == Backing::kPrivate   ? sum.private_leaves
     : backing == Backing::kMissing ? sum.missing_leaves
                                    : sum.identity_leaves) += count;
    leaf += count;
  }
}

// --- Invariants --------------------------------------------------------------

absl::Status P2mList::CheckInvariants() const {
  uint64_t private_leaves = 0;
  for (uint64_t mid = 0; mid < shape_.map.mids(); ++mid) {
    SIMVISOR_RETURN_IF_ERROR(CheckMid(mid, private_leaves));
  }
  P2mSummary sum;
  CountPages(sum);
  const uint64_t pages = sum.metadata_frames() + sum.page_table_frames +
                         sum.leaf_frames - shape_.kept_leaves +
                         shape_.builder_leaves;
  if (private_leaves != sum.leaf_frames ||
      structure().size() != PageCount(pages)) {
    return absl::InternalError(absl::StrFormat(
        "p2m list: %d leaves are private and %d counted; %d pages are noted "
        "and %d counted",
        private_leaves, sum.leaf_frames, structure().size().value(), pages));
  }
  if (generation() % 2 != 0) {
    return absl::InternalError(
        "p2m generation is odd with no change under way");
  }
  return absl::OkStatus();
}

absl::Status P2mList::CheckMid(uint64_t mid, uint64_t& private_leaves) const {
  const bool is_private = shape_.map.MidBacking(mid) == Backing::kPrivate;
  const uint64_t before = private_leaves;
  const uint64_t end = (mid + 1) * abi().words_per_page;
  for (uint64_t leaf = mid * abi().words_per_page; leaf < end;) {
    const uint64_t similar = shape_.map.SimilarLeaves(leaf);
    if (shape_.map.LeafPage(leaf).is_none()) {
      SIMVISOR_RETURN_IF_ERROR(CheckSharedLeaves(leaf, similar));
    } else if (!is_private) {
      return absl::InternalError(absl::StrFormat(
          "p2m leaf %d is private, but its mid is shared", leaf));
    } else {
      private_leaves += similar;
    }
    leaf += similar;
  }
  if (!is_private) SIMVISOR_RETURN_IF_ERROR(CheckSharedMid(mid));
  return tools_->CheckMid(mid, private_leaves > before);
}

absl::Status P2mList::CheckSharedMid(uint64_t mid) const {
  const P2mClass wanted = shape_.map.MidBacking(mid) == Backing::kMissing
                              ? P2mClass::kMissing
                              : P2mClass::kIdentity;
  const Pfn first(mid * abi().mid_span());
  const Pfn end = first + PageCount(abi().mid_span());
  const P2mRun run = words().RunAt(first, end, RunMerge::kByClass);
  if (run.word.Class() == wanted && run.pfns.end() == end) {
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrFormat(
      "p2m mid %d is shared, but its words are of the other class", mid));
}

absl::Status P2mList::CheckSharedLeaves(uint64_t leaf, uint64_t count) const {
  const Pfn end((leaf + count) * abi().leaf_span());
  for (Pfn at(leaf * abi().leaf_span()); at < end;) {
    const P2mRun run = words().RunAt(at, end, RunMerge::kByFrame);
    const bool uniform =
        run.pfns.count.value() % abi().leaf_span() == 0 &&
        (run.word.is_invalid() || run.word == P2mWord::Identity(at));
    if (!uniform) {
      return absl::InternalError(
          absl::StrFormat("shared p2m leaf of pfn 0x%x reads %s", at.value(),
                          run.word.ToString()));
    }
    at = run.pfns.end();
  }
  return absl::OkStatus();
}

// --- What tools see ----------------------------------------------------------

absl::Status P2mList::Publish(PageSource& source) {
  SIMVISOR_RETURN_IF_ERROR(tools_->Publish(source));
  fresh_ = true;
  shape_.words.RestartGeneration();
  return absl::OkStatus();
}

void P2mList::MakeStale() {
  fresh_ = false;
  tools_->FramesChanged();
}

absl::StatusOr<ToolsRoot> P2mList::FindToolsRoot() const {
  if (fresh_) return tools_->root();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kP2mTreeStale,
      "its frames have changed and the guest has not told tools yet where "
      "its p2m list is; let it resume");
}

// --- Pages and page tables ---------------------------------------------------

Pfn P2mList::PtePageAt(uint64_t entry) const {
  assert(entry < pmd_entries());
  return shape_.PtePageAt(entry);
}

P2mWord P2mList::LookupThrough(Pfn pte_page, Pfn pfn) const {
  assert(pfn < p2m_size());
  if (pte_page == shape_.missing_pte) return P2mWord::Invalid();
  if (pte_page == shape_.identity_pte) return P2mWord::Identity(pfn);
  const std::optional<StructurePages::Use> use = structure().Find(pte_page);
  if (!use.has_value() || use->role != PageRole::kPte) {
    return P2mWord::Invalid();
  }
  const uint64_t leaf =
      use->index * abi().ptrs_per_pte + shape_.LeafOf(pfn) % abi().ptrs_per_pte;
  switch (shape_.LeafBacking(leaf)) {
    case Backing::kMissing:
      return P2mWord::Invalid();
    case Backing::kIdentity:
      return P2mWord::Identity(pfn);
    case Backing::kPrivate:
      break;
  }
  const uint64_t span = abi().leaf_span();
  return Lookup(Pfn(leaf * span + pfn.value() % span));
}

int P2mList::TableLevel(Pfn pfn) const {
  const std::optional<StructurePages::Use> use = structure().Find(pfn);
  if (!use.has_value()) return 0;
  switch (use->role) {
    case PageRole::kMissingPte:
    case PageRole::kIdentityPte:
    case PageRole::kPte:
      return 1;
    default:
      return tools_->TableLevel(*use);
  }
}

bool P2mList::Render(Pfn pfn, absl::Span<char> page) const {
  const std::optional<StructurePages::Use> use = structure().Find(pfn);
  if (!use.has_value()) return false;
  switch (use->role) {
    case PageRole::kMissingLeaf:
    case PageRole::kIdentityLeaf:
      FillEntries(page, abi().word_bytes, abi().invalid_word);
      break;
    case PageRole::kMissingPte:
      FillEntries(page, kPteBytes,
                  PteFor(shape_, shape_.missing_leaf, /*writable=*/false));
      break;
    case PageRole::kIdentityPte:
      FillEntries(page, kPteBytes,
                  PteFor(shape_, shape_.identity_leaf, /*writable=*/false));
      break;
    case PageRole::kBuilderList:
    case PageRole::kLeaf:
      RenderWords(words(), Pfn(use->index * abi().leaf_span()), page);
      break;
    case PageRole::kPte:
      RenderPte(use->index, page);
      break;
    default:
      tools_->Render(*use, page);
      break;
  }
  return true;
}

void P2mList::RenderPte(uint64_t number, absl::Span<char> page) const {
  const uint64_t first = number * abi().ptrs_per_pte;
  for (uint64_t i = 0; i < abi().ptrs_per_pte; ++i) {
    const bool is_private = !shape_.map.LeafPage(first + i).is_none();
    StoreEntry(page, kPteBytes, i,
               PteFor(shape_, shape_.LeafPageAt(first + i), is_private));
  }
}

}  // namespace simvisor
