#include "domain/p2m/relocation_plan.h"

#include <algorithm>
#include <cassert>
#include <iterator>

#include "domain/p2m/p2m_tables.h"
#include "domain/p2m/p2m_tree.h"

namespace simvisor {

Pfn AreaEnd(const Abi& abi, Pfn max_pfn, Pfn limit) {
  const uint64_t span = abi.mid_span();
  return Pfn((std::max(max_pfn, limit).value() + span - 1) / span * span);
}

RelocationPlan::RelocationPlan(const BuilderList& from,
                               const P2mOptions& options, Pfn limit)
    : from_(from),
      abi_(from.words().abi()),
      options_(options),
      area_end_(AreaEnd(abi_, from.max_pfn(), limit)),
      room_(from.extra_regions()) {
  // If the region that was added last is a lower one, others may be outside the
  // area.
  room_.Remove(ExtentBetween(area_end_, Pfn::None()));
  identity_mids_ = IdentityMids();
}

PageCount RelocationPlan::ElementPiece(Pfn pfn, Pfn end,
                                       P2mClass* p2m_class) const {
  if (pfn < from_.end()) {
    const P2mRun run = from_.words().RunAt(pfn, std::min(end, from_.end()),
                                           RunMerge::kByClass);
    *p2m_class = run.word.Class();
    return run.pfns.count;
  }
  // Linux does not know room past the list yet, and takes it for identity.
  *p2m_class = P2mClass::kIdentity;
  if (options_.balloon_room == BalloonRoom::kFaithful) return end - pfn;
  auto next = room_.extents().upper_bound(pfn);
  if (next != room_.extents().begin()) {
    const Pfn room_end = std::prev(next)->second;
    if (pfn < room_end) {
      *p2m_class = P2mClass::kMissing;
      return std::min(end, room_end) - pfn;
    }
  }
  if (next != room_.extents().end()) end = std::min(end, next->first);
  return end - pfn;
}

PageCount RelocationPlan::ElementRun(Pfn pfn, Pfn end,
                                     P2mClass* p2m_class) const {
  PageCount count = ElementPiece(pfn, end, p2m_class);
  while (pfn + count < end) {
    P2mClass next_class;
    const PageCount next = ElementPiece(pfn + count, end, &next_class);
    if (next_class != *p2m_class) break;
    count += next;
  }
  return count;
}

std::vector<RelocationPlan::LeafRun> RelocationPlan::LeavesOf(
    uint64_t mid) const {
  assert(mid < MidOf(area_end_));
  const uint64_t span = abi_.leaf_span();
  const Pfn start(mid * abi_.mid_span());
  const Pfn end = start + PageCount(abi_.mid_span());
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

uint64_t RelocationPlan::LeavesIn(const PfnSet& pfns, PfnExtent within) const {
  const uint64_t span = abi_.leaf_span();
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

uint64_t RelocationPlan::IdentityMids() const {
  Pfn end = from_.end();
  if (options_.balloon_room == BalloonRoom::kCompact &&
      !room_.extents().empty()) {
    end = std::max(end, std::prev(room_.extents().end())->second);
  }
  const uint64_t span = abi_.mid_span();
  return std::min(MidOf(area_end_), (end.value() + span - 1) / span);
}

PageCount RelocationPlan::PagesToBoot() const {
  const bool tree = options_.tools_view == ToolsView::kTree;
  // Constant pages; mid_missing, top, top-by-pointer or upper page tables.
  uint64_t pages = 4 + (tree ? P2mTree::kFixedPages
                             : P2mTables::PagesAbove(abi_, area_end_));
  // Pfns whose leaves will not keep sharing the identity leaf.  Leaves that
  // share the missing leaf become private only for expected frames.
  PfnSet split = from_.expected_frames();
  if (options_.balloon_room == BalloonRoom::kFaithful) {
    for (const auto& [first, end] : room_.extents()) {
      split.Add(ExtentBetween(first, end));
    }
    split.Remove(ExtentBetween(area_end_, Pfn::None()));
  }
  // All leaves of mids above keep sharing the identity leaf.
  Pfn last_split;
  for (const auto& [first, end] : split.extents()) last_split = end;
  const uint64_t mids = std::min(
      MidOf(area_end_), std::max(identity_mids_, MidOf(last_split) + 1));
  for (uint64_t mid = 0; mid < mids; ++mid) pages += PagesOfMid(mid, split);
  return PageCount(pages);
}

uint64_t RelocationPlan::PagesOfMid(uint64_t mid, const PfnSet& split) const {
  Pfn at(mid * abi_.mid_span());
  const std::vector<LeafRun> runs = LeavesOf(mid);
  const bool starts_shared =
      runs.size() == 1 && runs[0].backing != Backing::kPrivate;
  uint64_t leaves = 0;
  for (const LeafRun& run : runs) {
    const PfnExtent pfns = {at, PageCount(run.count * abi_.leaf_span())};
    if (run.backing == Backing::kPrivate) {
      leaves += StaysInPlace(LeafOf(at)) ? 0 : run.count;
    } else {
      const bool missing = run.backing == Backing::kMissing;
      leaves += LeavesIn(missing ? from_.expected_frames() : split, pfns);
    }
    at = pfns.end();
  }
  if (starts_shared && leaves == 0) return 0;
  const bool tree = options_.tools_view == ToolsView::kTree;
  return leaves + abi_.pmds_per_mid +
         (tree && mid < abi_.words_per_page ? 1 : 0);  // its tree page
}

}  // namespace simvisor
