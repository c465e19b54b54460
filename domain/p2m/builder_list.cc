#include "domain/p2m/builder_list.h"

#include <algorithm>
#include <cassert>
#include <optional>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace simvisor {
namespace {

uint64_t LeavesFor(const Abi& abi, PageCount nr_pages) {
  return (nr_pages.value() + abi.leaf_span() - 1) / abi.leaf_span();
}

absl::Status WrongLeaf(absl::StatusCode code, Reason reason, uint64_t leaf,
                       Pfn page, absl::string_view text) {
  return MakeError(code, reason,
                   absl::StrFormat("p2m list of the builder: leaf %d is in pfn "
                                   "0x%x, %s",
                                   leaf, page.value(), text),
                   {{fact::kValue, Hex(page.value())}});
}

}  // namespace

absl::StatusOr<BuilderList> BuilderList::Build(P2mWords& words,
                                               PageCount nr_pages,
                                               PageSource& source) {
  assert(words.size() == Pfn(0));
  const Abi& abi = words.abi();
  const uint64_t leaves = LeavesFor(abi, nr_pages);
  BuilderList list(words, leaves, Pfn(leaves * abi.leaf_span()));
  for (uint64_t leaf = 0; leaf < leaves;) {
    const PfnExtent pages = source.Take(PageCount(leaves - leaf));
    if (pages.empty()) {
      for (const PfnExtent& taken : list.by_leaf_) source.Return(taken);
      return MakeError(
          absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
          absl::StrFormat(
              "building a p2m list for %d pages: it takes %d pages, "
              "of which the guest has %d; give it more memory",
              nr_pages.value(), leaves, leaf),
          {{fact::kRequested, leaves},
           {fact::kAvailable, leaf},
           {fact::kUnit, "pages"}});
    }
    list.AddPages(pages, leaf);
    leaf += pages.count.value();
  }
  words.Resize(list.end_);
  return list;
}

absl::StatusOr<BuilderList> BuilderList::Found(P2mWords& words,
                                               PageCount nr_pages,
                                               absl::Span<const Pfn> leaves) {
  const uint64_t wanted = LeavesFor(words.abi(), nr_pages);
  assert(words.size() == Pfn(wanted * words.abi().leaf_span()));
  if (leaves.size() != wanted) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
        absl::StrFormat("p2m list of the builder: %d pages for %d leaves of a "
                        "domain with %d pages; name one page for each leaf",
                        leaves.size(), wanted, nr_pages.value()),
        {{fact::kRequested, leaves.size()},
         {fact::kLimit, wanted},
         {fact::kUnit, "pages"}});
  }
  BuilderList list(words, wanted, words.size());
  for (uint64_t leaf = 0; leaf < wanted; ++leaf) {
    const PfnExtent page = {leaves[leaf], PageCount(1)};
    if (!FitsWithin(page.first, page.count, Pfn(nr_pages.value()))) {
      return WrongLeaf(absl::StatusCode::kOutOfRange, Reason::kPfnOutOfRange,
                       leaf, page.first, "past the pages of the domain");
    }
    if (words.Lookup(page.first).Class() != P2mClass::kRam) {
      return WrongLeaf(absl::StatusCode::kFailedPrecondition,
                       Reason::kPfnNotRam, leaf, page.first,
                       "which has no frame");
    }
    if (list.pages_.Intersects(page)) {
      return WrongLeaf(absl::StatusCode::kFailedPrecondition,
                       Reason::kPageInUseByKernel, leaf, page.first,
                       "which is also the page of another leaf");
    }
    list.AddPages(page, leaf);
  }
  return list;
}

absl::StatusOr<BuilderList> BuilderList::OfForeignKernel(
    P2mWords& words, absl::Span<const uint64_t> leaves, StopCheck stop) {
  constexpr uint64_t kLeavesPerStop = 4096;
  BuilderList list(words, leaves.size(), words.size());
  for (uint64_t leaf = 0; leaf < leaves.size(); ++leaf) {
    if (leaf % kLeavesPerStop == 0) SIMVISOR_RETURN_IF_ERROR(stop());
    const PfnExtent page = {Pfn(leaves[leaf]), PageCount(1)};
    if (!list.pages_.Intersects(page)) list.AddPages(page, leaf);
  }
  return list;
}

void BuilderList::AddPages(PfnExtent pages, uint64_t leaf) {
  pages_.Add(pages, PageRole::kBuilderList, leaf);
  if (!by_leaf_.empty() && by_leaf_.back().end() == pages.first) {
    by_leaf_.back().count += pages.count;
  } else {
    by_leaf_.push_back(pages);
  }
}

P2mWord BuilderList::Lookup(Pfn pfn) const {
  if (pfn < end_) return words_->Lookup(pfn);
  return pfn < max_pfn_ && extra_.Contains(pfn) ? P2mWord::Invalid()
                                                : P2mWord::Identity(pfn);
}

P2mSummary BuilderList::Summary() const {
  P2mSummary sum = CountWords(*words_);
  sum.private_leaves = leaves_;
  sum.tools_max_pfn = end_.value();
  return sum;
}

void BuilderList::AddExtraRegion(PfnExtent pfns) {
  extra_.Add(pfns);
  max_pfn_ = pfns.end();
}

PageCount BuilderList::MarkIdentity(const ChangePermit& permit, Pfn start,
                                    Pfn end) {
  if (start >= end_ || start > end) return PageCount(0);
  const PageCount count = std::min(end, end_) - start;
  words_->Fill(permit, {start, count}, RangeFill::Identity());
  return count;
}

bool BuilderList::Render(Pfn pfn, absl::Span<char> page) const {
  const std::optional<StructurePages::Use> use = pages_.Find(pfn);
  if (!use.has_value()) return false;
  RenderWords(*words_, Pfn(use->index * words_->abi().leaf_span()), page);
  return true;
}

}  // namespace simvisor
