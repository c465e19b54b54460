#include "domain/guest/guest_boot.h"

#include <algorithm>
#include <memory>

#include "base/status_macros.h"

namespace simvisor {
namespace {

// Hands out pages without end, and counts them.
class CountingSource : public PageSource {
 public:
  PfnExtent Take(PageCount count) override {
    const PfnExtent pages = {Pfn(taken_.value()), count};
    taken_ += count;
    return pages;
  }
  void Return(PfnExtent) override {}
  PageCount taken() const { return taken_; }

 private:
  PageCount taken_;
};

// The frames that `list` has at `pfns`, with the pfns they are to move to.
void NoteFrames(const P2mList& list, PfnExtent pfns, Pfn target,
                std::vector<BootResult::MovedFrames>& noted) {
  const Pfn end = std::min(pfns.end(), list.p2m_size());
  for (Pfn at = pfns.first; at < end;) {
    const P2mRun run =
        list.RunAt(at, end, P2mView::kResolved, RunMerge::kByFrame);
    if (run.word.Class() == P2mClass::kRam) {
      noted.push_back({target + (at - pfns.first),
                       {Mfn(run.word.Number()), run.pfns.count}});
    }
    at = run.pfns.end();
  }
}

// What setup.c does before the list is relocated: notes frames under holes,
// then marks identity over them.
absl::StatusOr<BootResult> SetUpMemory(P2mList& list,
                                       const MemorySetup& setup) {
  BootResult result;
  for (const PfnExtent& extra : setup.extra) list.AddExtraRegion(extra);
  for (const MemorySetup::Move& move : setup.moves) {
    NoteFrames(list, move.source, move.target, result.moved);
    list.ExpectFramesAt({move.target, move.source.count});
  }
  std::vector<BootResult::MovedFrames> released;
  for (const PfnExtent& pfns : setup.released) {
    NoteFrames(list, pfns, pfns.first, released);
  }
  for (const auto& noted : released) result.released.push_back(noted.frames);
  for (const PfnExtent& range : setup.identity) {
    SIMVISOR_RETURN_IF_ERROR(
        list.SetRangeIdentity(range.first, range.end()).status());
  }
  return result;
}

}  // namespace

absl::StatusOr<PageCount> PagesToBoot(const Abi& abi, PageCount nr_pages,
                                      const MemorySetup& setup, Pfn area_limit,
                                      const P2mOptions& options,
                                      AllocationFaults* faults) {
  // Only classes of words count, so any frames will do.
  SIMVISOR_ASSIGN_OR_RETURN(
      ListOverWords list,
      ListOverWords::Create(abi, setup.area_end, options, faults));
  CountingSource source;
  SIMVISOR_RETURN_IF_ERROR(list->Build(nr_pages, source));
  list->StoreFrames(Pfn(0), {Mfn(0), nr_pages});
  SIMVISOR_RETURN_IF_ERROR(SetUpMemory(*list, setup).status());
  return source.taken() + list->PagesToBoot(area_limit);
}

absl::StatusOr<BootResult> BootGuest(P2mList& list, const MemorySetup& setup,
                                     Pfn area_limit, PageSource& source) {
  SIMVISOR_ASSIGN_OR_RETURN(BootResult result, SetUpMemory(list, setup));
  SIMVISOR_RETURN_IF_ERROR(list.Relocate(area_limit, source));
  SIMVISOR_RETURN_IF_ERROR(list.PublishToTools(source));
  for (const BootResult::MovedFrames& moved : result.moved) {
    const PfnExtent target = {moved.first, moved.frames.count};
    SIMVISOR_RETURN_IF_ERROR(list.SetRange(
        target, P2mList::RangeFill::Ram(moved.frames.first), source));
    list.RemoveExtraRegion(target);
  }
  return result;
}

}  // namespace simvisor
