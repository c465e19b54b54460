// Sets ranges of a guest's p2m list by hand (p2m.md A6, A10).

#include <algorithm>
#include <cassert>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/guest/guest.h"
#include "domain/guest/range_frames.h"

namespace simvisor {

absl::StatusOr<Guest::RangePlan> Guest::PlanRange(
    const Context& context, PfnExtent pfns, const RangeFill& fill,
    RamPolicy policy, Hypercalls& hypercalls) const {
  SIMVISOR_RETURN_IF_ERROR(CheckNoKernelPages(context, pfns, *memory_));
  SIMVISOR_RETURN_IF_ERROR(CheckNoLoad(context, pfns));
  SIMVISOR_RETURN_IF_ERROR(CheckNoForeign(context, pfns));
  RangePlan plan = {.pfns = pfns,
                    .fill = fill,
                    .policy = policy,
                    .frames = {},
                    .taken = {},
                    .list_pages = list_->structure().size()};
  SIMVISOR_ASSIGN_OR_RETURN(
      plan.frames, FramesUnder(context, pfns, policy, *memory_, hypercalls));
  return plan;
}

absl::Status Guest::PrepareRange(const Context& context, RangePlan& plan) {
  SIMVISOR_RETURN_IF_ERROR(
      CheckPagesLeft(context, free_pages_, plan.pfns,
                     list_->PagesToSet(plan.pfns, plan.fill)));
  // Pages that are about to be overwritten must not become part of the list.
  plan.taken = free_pages_.RemoveWithin(plan.pfns);
  for (const PfnExtent& pages : plan.taken) in_transit_ += pages.count;
  const absl::Status status =
      list_->PrepareRange(plan.pfns, plan.fill, free_pages_);
  if (status.ok()) return status;
  AbandonRange(plan);
  return context.As("set p2m").Refuse(
      status.code(), Reason::kGuestMemoryExhausted, OfRange(plan.pfns),
      absl::StrFormat(
          "%s; no word has changed, and what was taken serves the next try",
          status.message()),
      {{fact::kAvailable, 0}, {fact::kUnit, "pages"}});
}

void Guest::AbandonRange(const RangePlan& plan) {
  for (const PfnExtent& pages : plan.taken) {
    in_transit_ -= pages.count;
    free_pages_.Return(pages);
  }
}

RangeChange Guest::CommitRange(const RangePlan& plan, Hypercalls& hypercalls) {
  const PfnExtent pfns = plan.pfns;
  const absl::Status set =
      list_->SetRange(hypercalls.permit(), pfns, plan.fill, free_pages_);
  assert(set.ok());  // it takes no page, since it was prepared
  set.IgnoreError();
  for (const PfnExtent& pages : plan.taken) in_transit_ -= pages.count;
  kernel_image_.Remove(pfns);
  memory_->MarkDirty(pfns);
  RangeChange change;
  change.marked = pfns.count;
  change.p2m_pages = list_->structure().size() - plan.list_pages;
  const PageCount before = hypercalls.CurrentReservation();
  change.released = DisposeOfFrames(plan.frames, plan.policy, hypercalls);
  if (plan.policy == RamPolicy::kRelease) {
    balloon_.TargetDropsBy(before - hypercalls.CurrentReservation(), before);
  }
  if (plan.fill.p2m_class != P2mClass::kMissing) balloon_.list().Remove(pfns);
  if (plan.fill.p2m_class == P2mClass::kRam) {
    hypercalls.MachphysUpdate({plan.fill.first_mfn, pfns.count}, pfns.first);
    const Pfn low_end(kKernelLowPages.value());
    free_pages_.Return(ExtentBetween(std::max(pfns.first, low_end),
                                     std::max(pfns.end(), low_end)));
  }
  return change;
}

absl::Status Guest::CheckNoLoad(const Context& context, PfnExtent pfns) const {
  if (load_ == nullptr || !load_->Intersects(pfns)) return absl::OkStatus();
  return context.Refuse(absl::StatusCode::kFailedPrecondition,
                        Reason::kGuestLoadRunning, OfRange(pfns),
                        "pages of the guest's load lie there; choose a range "
                        "without them, or stop the load");
}

absl::Status Guest::CheckNoForeign(const Context& context,
                                   PfnExtent pfns) const {
  if (foreign_.CountIn(pfns) == PageCount(0)) return absl::OkStatus();
  auto at = foreign_.extents().upper_bound(pfns.first);
  const Pfn first = foreign_.Contains(pfns.first) ? pfns.first : at->first;
  return context.Refuse(
      absl::StatusCode::kFailedPrecondition, Reason::kPfnHoldsForeign,
      OfRange(pfns),
      absl::StrFormat(
          "pfn 0x%x maps mfn 0x%x of another domain; unmap it first",
          first.value(), list_->Lookup(first).Number()),
      {{fact::kValue, Hex(first.value())}});
}

}  // namespace simvisor
