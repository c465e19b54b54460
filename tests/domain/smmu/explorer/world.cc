#include "tests/domain/smmu/explorer/world.h"

#include <algorithm>

#include "domain/units/findings.h"

namespace simvisor {
namespace {

// After so many more ticks every lease has ended.
constexpr int kLateTicks = 4;

bool Overlap(const PfnSet& a, const PfnSet& b) {
  return std::any_of(
      a.extents().begin(), a.extents().end(), [&](const auto& extent) {
        return b.CountIn(ExtentBetween(extent.first, extent.second)) >
               PageCount(0);
      });
}

bool Conflict(const PfnClaims::What& a, const PfnClaims::What& b) {
  if (a.seat && b.seat) return true;
  return !(a.shared && b.shared) && Overlap(a.pfns, b.pfns);
}

}  // namespace

std::vector<World::Step> World::Steps() const {
  std::vector<Step> steps;
  std::vector<int> options;
  for (size_t actor = 0; actor < actors_.size(); ++actor) {
    options.clear();
    actors_[actor]->AddOptions(options);
    for (const int option : options) steps.push_back({actor, option});
  }
  if (MayTick(!steps.empty())) steps.push_back({actors_.size(), 0});
  return steps;
}

bool World::MayTick(bool others) const {
  if (ticks_left_ > 0) return true;
  return !others && late_ticks_ < kLateTicks &&
         !std::all_of(actors_.begin(), actors_.end(),
                      [](const auto& actor) { return actor->ended(); });
}

void World::Take(Step step) {
  if (step.actor < actors_.size()) {
    actors_[step.actor]->Take(step.option);
  } else {
    Tick();
  }
  for (const auto& actor : actors_) actor->Settle();
}

void World::Tick() {
  if (ticks_left_ > 0) {
    --ticks_left_;
  } else {
    ++late_ticks_;
  }
  now += kExplorerTick;
  mmus.Expire(now);
}

std::string World::Describe(Step step) const {
  if (step.actor == actors_.size()) return "time passes";
  return actors_[step.actor]->Describe(step.option);
}

void World::Check() {
  std::vector<std::string> found;
  Findings findings(DomainId(1), found);
  mmus.Check(findings, [&](const MappingRun& run) {
    for (PageCount i; i < run.count; i += PageCount(1)) {
      const P2mWord word = machine.Lookup(run.pfn + i);
      if (!word.is_ram() || word.Number() != (run.mfn + i).value()) {
        Violate("a record names mfn ", (run.mfn + i).value(), " at pfn ",
                (run.pfn + i).value(), ", which is ", word.ToString());
      }
    }
  });
  claims.Check(findings);
  for (const std::string& finding : found) Violate(finding);
  CheckClaims();
  for (const auto& actor : actors_) actor->Check();
}

void World::CheckClaims() const {
  for (size_t later = 0; later < queue.size(); ++later) {
    if (!queue[later].second->admitted()) continue;
    for (size_t earlier = 0; earlier < later; ++earlier) {
      if (!queue[earlier].second->admitted() &&
          Conflict(queue[earlier].second->what(),
                   queue[later].second->what())) {
        Violate("claim ", later, " was admitted before claim ", earlier,
                ", which came first");
      }
    }
  }
}

void World::CheckLog(const std::set<uint64_t>& granted) const {
  if (!log.armed) return;
  std::set<uint64_t> writable;
  for (const auto& actor : actors_) actor->AddWritable(writable);
  for (const uint64_t pfn : writable) {
    if (!log.dirty.contains(pfn) && !log.cleaning.contains(pfn) &&
        !granted.contains(pfn)) {
      Violate("a client may store at pfn ", pfn, ", and the log misses it");
    }
  }
}

std::string World::TakeState() {
  std::string text;
  machine.AppendState(text);
  const MmuTotals totals = mmus.Totals();
  absl::StrAppend(&text, "|", absl::ToUnixMillis(now), " ", ticks_left_, " ",
                  late_ticks_, " ", dying, suspended.has_value(), " seq ",
                  totals.seq, " ", totals.interval_seq, " ", totals.open_ranges,
                  " ", ranges);
  for (const auto& [actor, ticket] : queue) {
    absl::StrAppend(&text, " ", ticket->admitted());
  }
  for (const MmuInfo& info : mmus.List(now)) {
    absl::StrAppend(&text, "|", static_cast<int>(info.state), " ",
                    info.unanswered_events, " ",
                    absl::ToInt64Milliseconds(info.lease_left), " ");
    std::vector<MappingRun> runs;
    if (!mmus.ListMappings(info.id, Pfn(0), 100, runs).ok()) continue;
    for (const MappingRun& run : runs) {
      absl::StrAppend(&text, run.pfn.value(), ":", run.mfn.value(), "+",
                      run.count.value(), run.writable ? "w " : "r ");
    }
  }
  std::set<uint64_t> granted;
  const PfnSet taken = mmus.TakeGranted();
  for (const auto& [first, end] : taken.extents()) {
    for (Pfn pfn = first; pfn < end; pfn += PageCount(1)) {
      granted.insert(pfn.value());
    }
  }
  CheckLog(granted);
  for (const auto* const set : {&log.dirty, &log.cleaning, &granted}) {
    absl::StrAppend(&text, "|", log.armed);
    for (const uint64_t pfn : *set) absl::StrAppend(&text, " ", pfn);
  }
  for (const auto& actor : actors_) {
    absl::StrAppend(&text, "\n", holder == actor.get() ? "*" : "");
    actor->AppendState(text);
  }
  return text;
}

void World::CheckEnd() {
  for (const auto& actor : actors_) {
    if (!actor->ended()) Violate("never ends: ", actor->Describe(0));
    actor->CheckEnd();
  }
  if (!claims.empty()) Violate("claims are left");
}

}  // namespace simvisor
