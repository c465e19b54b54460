// Relocation of a p2m list to its area (A7).

#include <algorithm>
#include <array>
#include <iterator>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/p2m/p2m_list.h"

namespace simvisor {

PageCount P2mList::ElementPiece(Pfn pfn, Pfn end, P2mClass* p2m_class) const {
  if (pfn < builder_end()) {
    const P2mRun run =
        words_.RunAt(pfn, std::min(end, builder_end()), RunMerge::kByClass);
    *p2m_class = run.word.Class();
    return run.pfns.count;
  }
  // Linux knows nothing of room past the list yet, and takes it for identity.
  *p2m_class = P2mClass::kIdentity;
  if (options_.balloon_room == BalloonRoom::kFaithful) return end - pfn;
  auto next = extra_.extents().upper_bound(pfn);
  if (next != extra_.extents().begin()) {
    const Pfn room_end = std::prev(next)->second;
    if (pfn < room_end) {
      *p2m_class = P2mClass::kMissing;
      return std::min(end, room_end) - pfn;
    }
  }
  if (next != extra_.extents().end()) end = std::min(end, next->first);
  return end - pfn;
}

PageCount P2mList::ElementRun(Pfn pfn, Pfn end, P2mClass* p2m_class) const {
  PageCount count = ElementPiece(pfn, end, p2m_class);
  while (pfn + count < end) {
    P2mClass next_class;
    const PageCount next = ElementPiece(pfn + count, end, &next_class);
    if (next_class != *p2m_class) break;
    count += next;
  }
  return count;
}

std::vector<P2mList::LeafRun> P2mList::ClassifyMid(uint64_t mid) const {
  const uint64_t span = abi_->leaf_span();
  const Pfn start(mid * abi_->mid_span());
  const Pfn end = start + PageCount(abi_->mid_span());
  std::vector<LeafRun> runs;
  for (Pfn at = start; at < end;) {
    P2mClass p2m_class;
    const uint64_t whole = ElementRun(at, end, &p2m_class).value() / span;
    LeafRun run = {Backing::kPrivate, std::max<uint64_t>(whole, 1)};
    if (whole > 0 && p2m_class == P2mClass::kMissing) {
      run.backing = Backing::kMissing;
    } else if (whole > 0 && p2m_class == P2mClass::kIdentity) {
      run.backing = Backing::kIdentity;
    }
    runs.push_back(run);
    at += PageCount(run.count * span);
  }
  return runs;
}

uint64_t P2mList::LeavesIn(const PfnSet& pfns, PfnExtent within) const {
  const uint64_t span = abi_->leaf_span();
  uint64_t count = 0;
  uint64_t next_leaf = 0;  // leaves below it are counted
  for (const auto& [first, end] : pfns.extents()) {
    const Pfn from = std::max(first, within.first);
    const Pfn to = std::min(end, within.end());
    if (from >= to) continue;
    const uint64_t first_leaf = std::max(LeafOf(from), next_leaf);
    next_leaf = (to.value() + span - 1) / span;
    count += next_leaf - std::min(first_leaf, next_leaf);
  }
  return count;
}

uint64_t P2mList::IdentityMids(Pfn area_end) const {
  Pfn end = builder_end();
  if (options_.balloon_room == BalloonRoom::kCompact &&
      !extra_.extents().empty()) {
    end = std::max(end, std::prev(extra_.extents().end())->second);
  }
  const uint64_t span = abi_->mid_span();
  return std::min(MidOf(area_end), (end.value() + span - 1) / span);
}

PageCount P2mList::PagesToBoot(Pfn limit) const {
  const Pfn area_end = AreaEnd(*abi_, max_pfn_, limit);
  const bool tree = options_.tools_view == ToolsView::kTree;
  // Constant pages; mid_missing, top, top-by-pointer or upper page tables.
  uint64_t pages = 4 + (tree ? 3 : UpperTables(area_end));
  // Pfns whose leaves will not stay the shared identity leaf; those that will
  // not stay the missing one are expected_ alone.
  PfnSet split = expected_;
  if (options_.balloon_room == BalloonRoom::kFaithful) {
    for (const auto& [first, end] : extra_.extents()) {
      split.Add(ExtentBetween(first, end));
    }
    split.Remove(ExtentBetween(area_end, Pfn::None()));
  }
  // Of the mids behind, all leaves stay the shared identity leaf.
  Pfn last_split;
  for (const auto& [first, end] : split.extents()) last_split = end;
  const uint64_t mids = std::min(
      MidOf(area_end), std::max(IdentityMids(area_end), MidOf(last_split) + 1));
  for (uint64_t mid = 0; mid < mids; ++mid) {
    Pfn at(mid * abi_->mid_span());
    const std::vector<LeafRun> runs = ClassifyMid(mid);
    const bool starts_shared =
        runs.size() == 1 && runs[0].backing != Backing::kPrivate;
    uint64_t leaves = 0;
    for (const LeafRun& run : runs) {
      const PfnExtent pfns = {at, PageCount(run.count * abi_->leaf_span())};
      if (run.backing == Backing::kPrivate) {
        leaves += ReusesBuilderPage(LeafOf(at)) ? 0 : run.count;
      } else {
        const bool missing = run.backing == Backing::kMissing;
        leaves += LeavesIn(missing ? expected_ : split, pfns);
      }
      at = pfns.end();
    }
    if (starts_shared && leaves == 0) continue;
    pages += leaves + abi_->pmds_per_mid;
    pages += tree && mid < abi_->words_per_page ? 1 : 0;  // its tree page
  }
  return PageCount(pages);
}

absl::Status P2mList::Relocate(Pfn limit, PageSource& source) {
  const Pfn area_end = AreaEnd(*abi_, max_pfn_, limit);
  // A lower region that was added last may have left others outside the area.
  extra_.Remove(ExtentBetween(area_end, Pfn::None()));
  SIMVISOR_ASSIGN_OR_RETURN(missing_leaf_,
                            TakePage(PageRole::kMissingLeaf, 0, source));
  SIMVISOR_ASSIGN_OR_RETURN(identity_leaf_,
                            TakePage(PageRole::kIdentityLeaf, 0, source));
  SIMVISOR_ASSIGN_OR_RETURN(missing_pte_,
                            TakePage(PageRole::kMissingPte, 0, source));
  SIMVISOR_ASSIGN_OR_RETURN(identity_pte_,
                            TakePage(PageRole::kIdentityPte, 0, source));
  shape_.Resize(MidOf(area_end));
  const uint64_t identity_from = IdentityMids(area_end);
  shape_.ShareRest(identity_from);
  words_.Resize(area_end, Pfn(identity_from * abi_->mid_span()));
  for (uint64_t mid = 0; mid < identity_from; ++mid) {
    SIMVISOR_RETURN_IF_ERROR(RelocateMid(mid, source));
  }
  last_pfn_ = max_pfn_;
  max_pfn_ = area_end;
  relocated_ = true;
  for (const auto& [first, end] : extra_.extents()) {
    SIMVISOR_RETURN_IF_ERROR(
        SetRange(ExtentBetween(first, end), RangeFill::Missing(), source));
  }
  if (!ReusesBuilderPages()) ReturnBuilderPages(source);
  return absl::OkStatus();
}

absl::Status P2mList::RelocateMid(uint64_t mid, PageSource& source) {
  const std::vector<LeafRun> runs = ClassifyMid(mid);
  const bool shared = runs.size() == 1 && runs[0].backing != Backing::kPrivate;
  if (shared) {
    shape_.SetShared(mid, runs[0].backing);
  } else {
    SIMVISOR_RETURN_IF_ERROR(MakeMidPrivate(mid, source));
  }
  uint64_t leaf = mid * abi_->words_per_page;
  for (const LeafRun& run : runs) {
    const Pfn first(leaf * abi_->leaf_span());
    const PageCount span(run.count * abi_->leaf_span());
    const bool is_private = run.backing == Backing::kPrivate;
    // Past the builder's list only compact room that ends halfway is private;
    // the room itself is set INVALID later.
    if (run.backing == Backing::kIdentity ||
        (is_private && first >= builder_end())) {
      words_.Fill({first, span}, RangeFill::Identity());
    }
    if (is_private && ReusesBuilderPage(leaf)) {
      ReuseBuilderPages(leaf, run.count);
    } else if (is_private && TakeLeaves(leaf, run.count, source) < run.count) {
      return MakeError(
          absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
          absl::StrFormat("relocating the p2m list: no page is left for the "
                          "leaves of pfn 0x%x; give the guest more memory",
                          first.value()));
    }
    leaf += run.count;
  }
  return absl::OkStatus();
}

void P2mList::ReuseBuilderPages(uint64_t first_leaf, uint64_t count) {
  uint64_t base = 0;  // leaf of the first page of `pages`
  for (const PfnExtent& pages : builder_pages_) {
    const uint64_t from = std::max(first_leaf, base);
    const uint64_t to =
        std::min(first_leaf + count, base + pages.count.value());
    if (from < to) {
      shape_.SetLeafPages(
          from, {pages.first + PageCount(from - base), PageCount(to - from)});
    }
    base += pages.count.value();
  }
  leaf_pages_ += count;
  reused_leaves_ += count;
}

}  // namespace simvisor
