#include "domain/guest/guest_boot.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/p2m/relocation_plan.h"

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

// Appends to `noted` the frames that `list` has at `pfns`, with the pfns that
// they move to, from `target` on.
void NoteFrames(const BuilderList& list, PfnExtent pfns, Pfn target,
                std::vector<BootResult::MovedFrames>& noted) {
  const Pfn end = std::min(pfns.end(), list.end());
  for (Pfn at = pfns.first; at < end;) {
    const P2mRun run = list.words().RunAt(at, end, RunMerge::kByFrame);
    if (run.word.Class() == P2mClass::kRam) {
      noted.push_back({target + (at - pfns.first),
                       {Mfn(run.word.Number()), run.pfns.count}});
    }
    at = run.pfns.end();
  }
}

// Checks that the list is not in pages whose frames move or go back.
absl::Status CheckPlace(const BuilderList& list, const MemorySetup& setup) {
  std::vector<PfnExtent> going = setup.released;
  going.insert(going.end(), setup.identity.begin(), setup.identity.end());
  for (const MemorySetup::Move& move : setup.moves) {
    going.push_back(move.source);
  }
  for (PfnExtent pfns : going) {
    if (pfns.first >= list.end()) continue;
    pfns = ExtentBetween(pfns.first, std::min(pfns.end(), list.end()));
    if (!list.pages().Intersects(pfns)) continue;
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kPageInUseByKernel,
        absl::StrFormat("boot: the builder's p2m list has pages in pfns "
                        "[0x%x, 0x%x), where the guest's map has no RAM; place "
                        "it elsewhere",
                        pfns.first.value(), pfns.end().value()),
        {{fact::kValue, Hex(pfns.first.value())}});
  }
  return absl::OkStatus();
}

// What setup.c does before the list is relocated: notes frames under holes,
// then marks identity over them.
BootResult SetUpMemory(const ChangePermit& permit, BuilderList& list,
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
    list.MarkIdentity(permit, range.first, range.end());
  }
  return result;
}

}  // namespace

absl::StatusOr<PageCount> PagesToBoot(const Abi& abi, PageCount nr_pages,
                                      const MemorySetup& setup, Pfn area_limit,
                                      const P2mOptions& options,
                                      AllocationFaults* faults) {
  // Only the classes of words matter, so any frames will do.
  SIMVISOR_ASSIGN_OR_RETURN(const std::unique_ptr<P2mWords> words,
                            P2mWords::Create(abi, setup.area_end, faults));
  CountingSource source;
  SIMVISOR_ASSIGN_OR_RETURN(BuilderList list,
                            BuilderList::Build(*words, nr_pages, source));
  words->Fill(words->PermitWhileNew(), {Pfn(0), nr_pages},
              RangeFill::Ram(Mfn(0)));
  SetUpMemory(words->PermitWhileNew(), list, setup);
  return source.taken() +
         RelocationPlan(list, options, area_limit).PagesToBoot();
}

absl::StatusOr<BootResult> BootGuest(const ChangePermit& permit,
                                     BuilderList&& built,
                                     const MemorySetup& setup,
                                     const P2mOptions& options, Pfn area_limit,
                                     PageSource& source) {
  SIMVISOR_RETURN_IF_ERROR(CheckPlace(built, setup));
  BootResult result = SetUpMemory(permit, built, setup);
  SIMVISOR_ASSIGN_OR_RETURN(
      result.list,
      P2mList::Relocate(permit, std::move(built), options, area_limit, source));
  SIMVISOR_RETURN_IF_ERROR(result.list->Publish(source));
  for (const BootResult::MovedFrames& moved : result.moved) {
    const PfnExtent target = {moved.first, moved.frames.count};
    SIMVISOR_RETURN_IF_ERROR(result.list->SetRange(
        permit, target, RangeFill::Ram(moved.frames.first), source));
    result.list->RemoveExtraRegion(target);
  }
  return result;
}

}  // namespace simvisor
