#include "domain/p2m/p2m_list.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace simvisor {
namespace {

constexpr uint64_t AlignUp(uint64_t n, uint64_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace

Pfn AreaEnd(const Abi& abi, Pfn max_pfn, Pfn limit) {
  return Pfn(AlignUp(std::max(max_pfn, limit).value(), abi.mid_span()));
}

absl::StatusOr<ListOverWords> ListOverWords::Create(const Abi& abi,
                                                    Pfn capacity,
                                                    const P2mOptions& options,
                                                    AllocationFaults* faults) {
  ListOverWords made;
  SIMVISOR_ASSIGN_OR_RETURN(made.words,
                            P2mWords::Create(abi, capacity, faults));
  made.list = std::make_unique<P2mList>(*made.words, options);
  return made;
}

P2mList::P2mList(P2mWords& words, const P2mOptions& options)
    : words_(words),
      abi_(&words.abi()),
      options_(options),
      shape_(words.abi()) {}

absl::Status P2mList::Build(PageCount nr_pages, PageSource& source) {
  const uint64_t size = AlignUp(nr_pages.value(), abi_->leaf_span());
  const uint64_t leaves = size / abi_->leaf_span();
  for (uint64_t leaf = 0; leaf < leaves;) {
    const PfnExtent pages = source.Take(PageCount(leaves - leaf));
    if (pages.empty()) {
      ReturnBuilderPages(source);
      return MakeError(
          absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
          absl::StrFormat(
              "building a p2m list for %d pages: it takes %d pages, "
              "of which the guest has %d; give it more memory",
              nr_pages.value(), leaves, leaf));
    }
    pages_.Add(pages, PageRole::kBuilderList, leaf);
    builder_pages_.push_back(pages);
    leaf += pages.count.value();
  }
  builder_leaves_ = leaves;
  max_pfn_ = last_pfn_ = Pfn(size);
  words_.Resize(Pfn(size));
  return absl::OkStatus();
}

void P2mList::ReturnBuilderPages(PageSource& source) {
  for (const PfnExtent& pages : builder_pages_) {
    pages_.Remove(pages);
    source.Return(pages);
  }
  builder_pages_.clear();
}

void P2mList::StoreFrames(Pfn first, MfnExtent frames) {
  words_.Fill({first, frames.count}, RangeFill::Ram(frames.first));
}

void P2mList::StoreFrames(Pfn first, absl::Span<const MfnExtent> frames) {
  words_.StoreFrames(first, frames);
}

void P2mList::ClearFrames(PfnExtent pfns) {
  words_.Fill(pfns, RangeFill::Missing());
}

void P2mList::AddExtraRegion(PfnExtent pfns) {
  extra_.Add(pfns);
  max_pfn_ = pfns.end();
}

absl::StatusOr<PageCount> P2mList::SetRangeIdentity(Pfn start, Pfn end) {
  if (relocated_) {
    return MakeError(absl::StatusCode::kFailedPrecondition,
                     Reason::kRangeInvalid,
                     "identity ranges can only be marked before relocation; "
                     "set the words one by one");
  }
  if (start >= p2m_size() || start > end) return PageCount(0);
  const PageCount count = std::min(end, p2m_size()) - start;
  words_.Fill({start, count}, RangeFill::Identity());
  return count;
}

P2mWord P2mList::LookupRoom(Pfn pfn) const {
  // Room to balloon lies past the list only until it has been relocated.
  return pfn < max_pfn_ && extra_.Contains(pfn) ? P2mWord::Invalid()
                                                : P2mWord::Identity(pfn);
}

Backing P2mList::LeafBacking(uint64_t leaf) const {
  const Backing mid = shape_.MidBacking(leaf / abi_->words_per_page);
  if (mid != Backing::kPrivate) return mid;
  if (!shape_.LeafPage(leaf).is_none()) return Backing::kPrivate;
  const P2mWord word = Lookup(Pfn(leaf * abi_->leaf_span()));
  return word.is_invalid() ? Backing::kMissing : Backing::kIdentity;
}

P2mWord P2mList::Raw(Pfn pfn) const {
  if (relocated_ && LeafBacking(LeafOf(pfn)) != Backing::kPrivate) {
    return P2mWord::Invalid();
  }
  return Lookup(pfn);
}

P2mRun P2mList::PieceAt(Pfn pfn, Pfn end, P2mView view) const {
  if (view == P2mView::kRaw && relocated_) {
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
  if (view == P2mView::kResolved || !relocated_) {
    return words_.RunAt(pfn, end, merge);
  }
  P2mRun run = PieceAt(pfn, end, view);
  while (run.pfns.end() < end &&
         ExtendRun(run, PieceAt(run.pfns.end(), end, view), merge)) {
  }
  return run;
}

P2mSummary P2mList::Summary() const {
  P2mSummary sum;
  sum.p2m_size = p2m_size().value();
  sum.tools_max_pfn = last_pfn_.value();
  for (Pfn at(0); at < p2m_size();) {
    const P2mRun run = PieceAt(at, p2m_size(), P2mView::kResolved);
    const uint64_t count = run.pfns.count.value();
    switch (run.word.Class()) {
      case P2mClass::kRam:
        sum.ram += count;
        break;
      case P2mClass::kIdentity:
        sum.identity += count;
        break;
      case P2mClass::kForeign:
        sum.foreign += count;
        break;
      case P2mClass::kMissing:
        sum.missing += count;
        break;
    }
    at = run.pfns.end();
  }
  if (!relocated_) {
    sum.private_leaves = builder_leaves_;
    return sum;
  }
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
  if (!relocated_) return absl::OkStatus();
  uint64_t private_leaves = 0;
  for (uint64_t mid = 0; mid < shape_.mids(); ++mid) {
    SIMVISOR_RETURN_IF_ERROR(CheckMid(mid, private_leaves));
  }
  const uint64_t reused = ReusesBuilderPages() ? builder_leaves_ : 0;
  const uint64_t pages = (tree_built() ? 7 : 4) + pte_pages_ + tree_mid_pages_ +
                         upper_tables_.size() + leaf_pages_ - reused_leaves_ +
                         reused;
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
