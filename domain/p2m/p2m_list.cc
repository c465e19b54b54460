#include "domain/p2m/p2m_list.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace simvisor {

P2mList::P2mList(P2mWords& words, const P2mOptions& options)
    : words_(words),
      abi_(&words.abi()),
      options_(options),
      shape_(words.abi()) {}

void P2mList::StoreFrames(Pfn first, absl::Span<const MfnExtent> frames) {
  words_.StoreFrames(first, frames);
}

void P2mList::ClearFrames(PfnExtent pfns) {
  words_.Fill(pfns, RangeFill::Missing());
}

Backing P2mList::LeafBacking(uint64_t leaf) const {
  const Backing mid = shape_.MidBacking(leaf / abi_->words_per_page);
  if (mid != Backing::kPrivate) return mid;
  if (!shape_.LeafPage(leaf).is_none()) return Backing::kPrivate;
  const P2mWord word = Lookup(Pfn(leaf * abi_->leaf_span()));
  return word.is_invalid() ? Backing::kMissing : Backing::kIdentity;
}

P2mWord P2mList::Raw(Pfn pfn) const {
  if (LeafBacking(LeafOf(pfn)) != Backing::kPrivate) {
    return P2mWord::Invalid();
  }
  return Lookup(pfn);
}

P2mRun P2mList::PieceAt(Pfn pfn, Pfn end, P2mView view) const {
  if (view == P2mView::kRaw) {
    const uint64_t mid = MidOf(pfn);
    const bool shared_mid = shape_.MidBacking(mid) != Backing::kPrivate;
    const uint64_t leaf = LeafOf(pfn);
    const Pfn similar_end =
        shared_mid
            ? Pfn((mid + 1) * abi_->mid_span())
            : Pfn((leaf + shape_.SimilarLeaves(leaf)) * abi_->leaf_span());
    end = std::min(end, similar_end);
    if (shared_mid || shape_.LeafPage(leaf).is_none()) {
      return {ExtentBetween(pfn, end), P2mWord::Invalid()};
    }
  }
  return words_.PieceAt(pfn, end);
}

P2mRun P2mList::RunAt(Pfn pfn, Pfn end, P2mView view, RunMerge merge) const {
  if (view == P2mView::kResolved) {
    return words_.RunAt(pfn, end, merge);
  }
  P2mRun run = PieceAt(pfn, end, view);
  while (run.pfns.end() < end &&
         ExtendRun(run, PieceAt(run.pfns.end(), end, view), merge)) {
  }
  return run;
}

P2mSummary P2mList::Summary() const {
  P2mSummary sum = CountWords(words_);
  sum.tools_max_pfn = last_pfn_.value();
  sum.area_bytes = sum.p2m_size * abi_->word_bytes;
  for (uint64_t mid = 0; mid < shape_.mids(); ++mid) CountMid(mid, sum);
  sum.fixed_frames = tree_built() ? 7 : 4;
  sum.pte_frames = pte_pages_;
  sum.tree_mid_frames = tree_mid_pages_;
  sum.leaf_frames = leaf_pages_;
  sum.page_table_frames = upper_tables_.size();
  return sum;
}

void P2mList::CountMid(uint64_t mid, P2mSummary& sum) const {
  const uint64_t leaves = abi_->words_per_page;
  switch (shape_.MidBacking(mid)) {
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
    const Backing backing = LeafBacking(leaf);
    const uint64_t count = backing == Backing::kPrivate
                               ? shape_.SimilarLeaves(leaf)
                               : SharedLeaves(leaf);
    (backing == Backing::kPrivate   ? sum.private_leaves
     : backing == Backing::kMissing ? sum.missing_leaves
                                    : sum.identity_leaves) += count;
    leaf += count;
  }
}

uint64_t P2mList::SharedLeaves(uint64_t leaf) const {
  const uint64_t similar = shape_.SimilarLeaves(leaf);
  const Pfn first(leaf * abi_->leaf_span());
  const P2mRun run = RunAt(first, Pfn((leaf + similar) * abi_->leaf_span()),
                           P2mView::kResolved, RunMerge::kByClass);
  return run.pfns.count.value() / abi_->leaf_span();
}

absl::Status P2mList::CheckInvariants() const {
  uint64_t private_leaves = 0;
  for (uint64_t mid = 0; mid < shape_.mids(); ++mid) {
    SIMVISOR_RETURN_IF_ERROR(CheckMid(mid, private_leaves));
  }
  const uint64_t pages = (tree_built() ? 7 : 4) + pte_pages_ + tree_mid_pages_ +
                         upper_tables_.size() + leaf_pages_ - reused_leaves_ +
                         builder_leaves_;
  if (private_leaves != leaf_pages_ || pages_.size() != PageCount(pages)) {
    return absl::InternalError(absl::StrFormat(
        "p2m list: %d leaves are private and %d counted; %d pages are noted "
        "and %d counted",
        private_leaves, leaf_pages_, pages_.size().value(), pages));
  }
  if (generation() % 2 != 0) {
    return absl::InternalError(
        "p2m generation is odd with no change under way");
  }
  return absl::OkStatus();
}

absl::Status P2mList::CheckMid(uint64_t mid, uint64_t& private_leaves) const {
  const uint64_t leaves = abi_->words_per_page;
  const bool is_private = shape_.MidBacking(mid) == Backing::kPrivate;
  const bool has_tree_page = !shape_.TreePage(mid).is_none();
  const bool wants_tree_page = tree_built() && mid < abi_->words_per_page;
  uint64_t leaf = mid * leaves;
  while (leaf < (mid + 1) * leaves) {
    const uint64_t similar = shape_.SimilarLeaves(leaf);
    if (shape_.LeafPage(leaf).is_none()) {
      SIMVISOR_RETURN_IF_ERROR(CheckShared(leaf, similar));
    } else if (!is_private || (wants_tree_page && !has_tree_page)) {
      return absl::InternalError(absl::StrFormat(
          "p2m leaf %d is private, but its mid is shared or has no tree page",
          leaf));
    } else {
      private_leaves += similar;
    }
    leaf += similar;
  }
  if (!is_private) {
    const P2mClass wanted = shape_.MidBacking(mid) == Backing::kMissing
                                ? P2mClass::kMissing
                                : P2mClass::kIdentity;
    const Pfn first(mid * abi_->mid_span());
    const Pfn end = first + PageCount(abi_->mid_span());
    const P2mRun words =
        RunAt(first, end, P2mView::kResolved, RunMerge::kByClass);
    if (words.word.Class() != wanted || words.pfns.end() != end) {
      return absl::InternalError(absl::StrFormat(
          "p2m mid %d is shared, but its words are of the other class", mid));
    }
  }
  if (has_tree_page && !(is_private && wants_tree_page)) {
    return absl::InternalError(
        absl::StrFormat("p2m mid %d must not have a tree page", mid));
  }
  return absl::OkStatus();
}

absl::Status P2mList::CheckShared(uint64_t leaf, uint64_t count) const {
  const Pfn end((leaf + count) * abi_->leaf_span());
  for (Pfn at(leaf * abi_->leaf_span()); at < end;) {
    const P2mRun run = RunAt(at, end, P2mView::kResolved, RunMerge::kByFrame);
    const bool uniform =
        run.pfns.count.value() % abi_->leaf_span() == 0 &&
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

}  // namespace simvisor
