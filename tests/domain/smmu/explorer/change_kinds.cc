// What each kind of change claims, tells and does.

#include "domain/smmu/seeded_mistakes.h"
#include "tests/domain/smmu/explorer/change_actor.h"

namespace simvisor {
namespace {

PfnClaims::What Everything(bool shared) {
  PfnClaims::What what = {.pfns = {}, .shared = shared, .seat = false};
  what.pfns.Add(kEveryPfn);
  return what;
}

std::vector<PfnExtent> ExtentsOf(const PfnSet& set) {
  std::vector<PfnExtent> extents;
  for (const auto& [first, end] : set.extents()) {
    extents.push_back(ExtentBetween(first, end));
  }
  return extents;
}

void AddTo(std::set<uint64_t>& pfns, const PfnSet& more) {
  for (const auto& [first, end] : more.extents()) {
    for (Pfn pfn = first; pfn < end; pfn += PageCount(1)) {
      pfns.insert(pfn.value());
    }
  }
}

}  // namespace

// --- Words -------------------------------------------------------------------

PfnClaims::What UnmapActor::Plan() {
  PfnClaims::What what = {.pfns = {}, .shared = false, .seat = false};
  what.pfns.Add(pfns_);
  return what;
}

std::vector<PfnExtent> UnmapActor::Prepare() {
  PfnSet ram;
  for (Pfn pfn = pfns_.first; pfn < pfns_.end(); pfn += PageCount(1)) {
    if (world().machine.IsRam(pfn.value())) ram.Add({pfn, PageCount(1)});
  }
  return ExtentsOf(ram);
}

void UnmapActor::Commit() {
  for (Pfn pfn = pfns_.first; pfn < pfns_.end(); pfn += PageCount(1)) {
    if (world().machine.IsRam(pfn.value())) world().machine.Free(pfn.value());
  }
}

void ReplaceActor::Commit() {
  for (Pfn pfn = pfns().first; pfn < pfns().end(); pfn += PageCount(1)) {
    if (world().machine.IsRam(pfn.value()) && world().machine.has_free()) {
      world().machine.Replace(pfn.value());
    }
  }
}

void FillActor::Commit() {
  for (Pfn pfn = pfns().first; pfn < pfns().end(); pfn += PageCount(1)) {
    if (!world().machine.IsRam(pfn.value()) && world().machine.has_free()) {
      world().machine.Take(pfn.value());
    }
  }
}

// --- The whole domain --------------------------------------------------------

PfnClaims::What RegisterActor::Plan() { return Everything(/*shared=*/false); }

PfnClaims::What SuspendActor::Plan() { return Everything(/*shared=*/false); }

void ResumeActor::AddOptions(std::vector<int>& options) const {
  if (!done_ && world_.holder == nullptr && world_.suspended.has_value() &&
      !world_.dying) {
    options.push_back(0);
  }
}

void ResumeActor::Take(int) {
  done_ = true;
  absl::StrAppend(&world_.ranges, "e",
                  static_cast<uint64_t>(*world_.suspended));
  world_.mmus.EndRange(*world_.suspended);
  world_.suspended.reset();
}

void ResumeActor::AppendState(std::string& text) const {
  absl::StrAppend(&text, done_);
}

void DestroyActor::AddOptions(std::vector<int>& options) const {
  if (world_.holder != nullptr) return;
  if (phase_ == Phase::kStart ||
      (phase_ == Phase::kReleasing && released_.is_open())) {
    options.push_back(0);
  }
  if (phase_ == Phase::kReleasing && world_.has_objects && !called_) {
    options.push_back(1);
  }
}

void DestroyActor::Take(int option) {
  if (option == 1) {
    called_ = true;
    return world_.mmus.CallBackRelease();
  }
  if (phase_ == Phase::kStart) {
    phase_ = Phase::kReleasing;
    world_.dying = true;
    world_.claims.WakeAll();
    world_.mmus.Release(ReleaseReason::kDestroyed, "", &released_, world_.now);
    return;
  }
  phase_ = Phase::kDone;
  for (uint64_t pfn = 0; pfn < world_.machine.size(); ++pfn) {
    if (world_.machine.IsRam(pfn)) world_.machine.Free(pfn);
  }
}

void DestroyActor::AppendState(std::string& text) const {
  absl::StrAppend(&text, static_cast<int>(phase_), released_.is_open(),
                  called_);
}

// --- Log-dirty ---------------------------------------------------------------

PfnClaims::What StartLogActor::Plan() { return Everything(/*shared=*/true); }

std::vector<PfnExtent> StartLogActor::Prepare() {
  world().mmus.SetLogging(true);
  return {kEveryPfn};
}

PfnClaims::What CleanLogActor::Plan() { return Everything(/*shared=*/true); }

void CleanLogActor::TakeLog() {
  ExplorerLog& log = world().log;
  log.cleaning = std::exchange(log.dirty, {});
  AddTo(log.cleaning, world().mmus.TakeGranted());
}

std::vector<PfnExtent> CleanLogActor::Prepare() {
  if (!world().log.armed) return {};
  if (IsSeeded(SeededMistake::kProtectThenSwap)) {
    return world().mmus.WritableIn(nullptr);
  }
  TakeLog();
  PfnSet taken;
  for (const uint64_t pfn : world().log.cleaning) {
    taken.Add({Pfn(pfn), PageCount(1)});
  }
  return world().mmus.WritableIn(&taken);
}

void CleanLogActor::Undo() {
  ExplorerLog& log = world().log;
  log.dirty.merge(log.cleaning);
  log.cleaning.clear();
}

void CleanLogActor::Finish() {
  if (!IsSeeded(SeededMistake::kProtectThenSwap) || !world().log.armed) return;
  TakeLog();
  world().log.cleaning.clear();
}

}  // namespace simvisor
