// Moves pages out of a guest and into it.
//
// A real driver moves one batch of frame numbers per hypercall.  A batch that
// is granted in full leaves no trace, so many batches are done together here,
// between two calls of Preempted().

#include <cassert>
#include <vector>

#include "base/status_macros.h"
#include "domain/guest/guest.h"
#include "domain/guest/range_frames.h"

namespace simvisor {

DownPlan Guest::PlanDown(PageCount pages) {
  DownPlan plan;
  while (plan.count() < pages) {
    const PfnExtent pfns = free_pages_.TakeForBalloon(pages - plan.count());
    if (pfns.empty()) break;
    plan.Add(pfns);
  }
  in_transit_ += plan.count();
  return plan;
}

absl::Status Guest::CommitDown(DownPlan& plan, Hypercalls& hypercalls,
                               PageCount* moved) {
  std::vector<PfnExtent> taken;
  absl::Status status;
  while (status.ok() && !plan.empty()) {
    PfnExtent pfns = plan.TakeFirst();
    const PfnExtent all = pfns;
    status = MoveExtentDown(pfns, hypercalls);
    taken.push_back(ExtentBetween(all.first, pfns.first));
    in_transit_ -= taken.back().count;
    *moved += taken.back().count;
    if (!pfns.empty()) plan.PutBack(pfns);
  }
  balloon_.Enter(taken);
  return status;
}

void Guest::AbandonDown(DownPlan& plan) {
  in_transit_ -= plan.count();
  while (!plan.empty()) free_pages_.Return(plan.TakeFirst());
}

absl::Status Guest::MoveExtentDown(PfnExtent& pfns, Hypercalls& hypercalls) {
  std::vector<MfnExtent> frames;
  while (!pfns.empty()) {
    SIMVISOR_RETURN_IF_ERROR(hypercalls.Preempted());
    frames.clear();
    const Pfn next =
        list_->words().CollectFrames(pfns, kRunsPerHypercall, frames);
    const PfnExtent part = ExtentBetween(pfns.first, next);
    list_->Clear(hypercalls.permit(), part);
    memory_->MarkDirty(part);
    balloon_.Entering(part.count);
    hypercalls.DecreaseReservation(frames);
    pfns = ExtentBetween(next, pfns.end());
  }
  return absl::OkStatus();
}

absl::Status Guest::MoveUp(PageCount pages, Hypercalls& hypercalls,
                           PageCount* moved) {
  assert(*moved == PageCount(0));
  while (*moved < pages) {
    SIMVISOR_RETURN_IF_ERROR(hypercalls.Preempted());
    const PfnExtent pfns = balloon_.list().Pop(pages - *moved);
    // Compact room that was never used has shared leaves.
    P2mList& list = *list_;
    const Pfn ready = list.AllocEntries(pfns, free_pages_);
    const PageCount done = hypercalls.PopulatePhysmap(
        ExtentBetween(pfns.first, ready),
        [&list, &hypercalls](Pfn pfn, absl::Span<const MfnExtent> frames) {
          list.StoreFrames(hypercalls.permit(), pfn, frames);
        });
    const PfnExtent filled = {pfns.first, done};
    memory_->MarkDirty(filled);
    balloon_.list().PutBack(ExtentBetween(filled.end(), pfns.end()));
    free_pages_.Return(filled);
    *moved += done;
    if (done == PageCount(0)) break;  // no page for a leaf
  }
  return absl::OkStatus();
}

}  // namespace simvisor
