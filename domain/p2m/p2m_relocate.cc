// Relocation of a builder's list to its area (p2m.md A7).

#include <algorithm>
#include <cassert>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/p2m/p2m_list.h"

namespace simvisor {

absl::StatusOr<std::unique_ptr<P2mList>> P2mList::Relocate(
    const ChangePermit& permit, BuilderList from, const P2mOptions& options,
    Pfn limit, PageSource& source) {
  const RelocationPlan plan(from, options, limit);
  assert(plan.area_end() <= from.words().capacity());
  std::unique_ptr<P2mList> list(new P2mList(from.words(), options.tools_view));
  SIMVISOR_RETURN_IF_ERROR(list->MoveFrom(permit, from, plan, source));
  return list;
}

absl::Status P2mList::MoveFrom(const ChangePermit& permit,
                               const BuilderList& from,
                               const RelocationPlan& plan, PageSource& source) {
  const Pfn area_end = plan.area_end();
  shape_.pages = from.pages();
  extra_ = plan.room();
  SIMVISOR_ASSIGN_OR_RETURN(shape_.missing_leaf,
                            shape_.TakePage(PageRole::kMissingLeaf, 0, source));
  SIMVISOR_ASSIGN_OR_RETURN(
      shape_.identity_leaf,
      shape_.TakePage(PageRole::kIdentityLeaf, 0, source));
  SIMVISOR_ASSIGN_OR_RETURN(shape_.missing_pte,
                            shape_.TakePage(PageRole::kMissingPte, 0, source));
  SIMVISOR_ASSIGN_OR_RETURN(shape_.identity_pte,
                            shape_.TakePage(PageRole::kIdentityPte, 0, source));
  shape_.map.Resize(shape_.MidOf(area_end));
  shape_.map.ShareRest(plan.identity_mids());
  shape_.words.Resize(area_end, Pfn(plan.identity_mids() * abi().mid_span()));
  for (uint64_t mid = 0; mid < plan.identity_mids(); ++mid) {
    SIMVISOR_RETURN_IF_ERROR(RelocateMid(permit, from, plan, mid, source));
  }
  last_pfn_ = from.max_pfn();
  // Tools have not seen the area yet; changes count from here on.
  shape_.words.RestartGeneration();
  for (const auto& [first, end] : extra_.extents()) {
    SIMVISOR_RETURN_IF_ERROR(SetRange(permit, ExtentBetween(first, end),
                                      RangeFill::Missing(), source));
  }
  if (LeavesStayInPlace(abi())) {
    shape_.builder_leaves = from.leaves();
    return absl::OkStatus();
  }
  for (const PfnExtent& pages : from.pages_by_leaf()) {
    shape_.pages.Remove(pages);
    source.Return(pages);
  }
  return absl::OkStatus();
}

absl::Status P2mList::RelocateMid(const ChangePermit& permit,
                                  const BuilderList& from,
                                  const RelocationPlan& plan, uint64_t mid,
                                  PageSource& source) {
  const std::vector<RelocationPlan::LeafRun> runs = plan.LeavesOf(mid);
  const bool shared = runs.size() == 1 && runs[0].backing != Backing::kPrivate;
  if (shared) {
    shape_.map.SetShared(mid, runs[0].backing);
  } else {
    SIMVISOR_RETURN_IF_ERROR(MakeMidPrivate(mid, source));
  }
  uint64_t leaf = mid * abi().words_per_page;
  for (const RelocationPlan::LeafRun& run : runs) {
    const Pfn first(leaf * abi().leaf_span());
    const PageCount span(run.count * abi().leaf_span());
    const bool is_private = run.backing == Backing::kPrivate;
    // Past the builder's list, a leaf is private only if compact room ends
    // inside it; that room is set INVALID later.
    if (run.backing == Backing::kIdentity ||
        (is_private && first >= from.end())) {
      shape_.words.Fill(permit, {first, span}, RangeFill::Identity());
    }
    if (is_private && plan.StaysInPlace(leaf)) {
      KeepBuilderPages(from, leaf, run.count);
    } else if (is_private && TakeLeaves(leaf, run.count, source) < run.count) {
      return MakeError(
          absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
          absl::StrFormat("relocating the p2m list: no page is left for the "
                          "leaves of pfn 0x%x; give the guest more memory",
                          first.value()),
          {{fact::kValue, Hex(first.value())}});
    }
    leaf += run.count;
  }
  return absl::OkStatus();
}

void P2mList::KeepBuilderPages(const BuilderList& from, uint64_t first_leaf,
                               uint64_t count) {
  uint64_t base = 0;  // leaf of the first page of `pages`
  for (const PfnExtent& pages : from.pages_by_leaf()) {
    const uint64_t start = std::max(first_leaf, base);
    const uint64_t end =
        std::min(first_leaf + count, base + pages.count.value());
    if (start < end) {
      shape_.map.SetLeafPages(start, {pages.first + PageCount(start - base),
                                      PageCount(end - start)});
    }
    base += pages.count.value();
  }
  shape_.leaf_pages += count;
  shape_.kept_leaves += count;
}

}  // namespace simvisor
