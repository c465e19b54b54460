#include "domain/smmu/mapping_runs.h"

#include <algorithm>
#include <cassert>
#include <iterator>

namespace simvisor {
namespace {

// The part of `run` in `pfns`; may be empty.
MappingRun PartOf(const MappingRun& run, PfnExtent pfns) {
  const Pfn first = std::max(run.pfn, pfns.first);
  const Pfn end = std::min(run.pfn + run.count, pfns.end());
  if (end <= first) return {first, run.mfn, PageCount(0), run.writable};
  return {first, run.mfn + (first - run.pfn), end - first, run.writable};
}

bool Continues(const MappingRun& a, const MappingRun& b) {
  return a.pfn + a.count == b.pfn && a.mfn + a.count == b.mfn &&
         a.writable == b.writable;
}

}  // namespace

MappingRun MappingRuns::RunOf(Runs::const_iterator at) {
  return {at->first, at->second.mfn, at->second.count, at->second.writable};
}

MappingRuns::Runs::const_iterator MappingRuns::FirstAfter(Pfn pfn) const {
  auto at = runs_.upper_bound(pfn);
  if (at == runs_.begin()) return at;
  const auto before = std::prev(at);
  return before->first + before->second.count > pfn ? before : at;
}

void MappingRuns::Insert(const MappingRun& run) {
  pages_ += run.count;
  if (run.writable) writable_ += run.count;
  MappingRun whole = run;
  auto at = runs_.lower_bound(run.pfn);
  if (at != runs_.end() && Continues(whole, RunOf(at))) {
    whole.count += at->second.count;
    at = runs_.erase(at);
  }
  if (at != runs_.begin()) {
    const auto before = std::prev(at);
    if (Continues(RunOf(before), whole)) {
      before->second.count += whole.count;
      return;
    }
  }
  runs_.emplace(whole.pfn, Rest{whole.mfn, whole.count, whole.writable});
}

std::vector<MappingRun> MappingRuns::Cut(PfnExtent pfns) {
  std::vector<MappingRun> cut;
  std::vector<MappingRun> kept;
  auto at = runs_.lower_bound(pfns.first);
  if (at != runs_.begin()) {
    const auto before = std::prev(at);
    if (before->first + before->second.count > pfns.first) at = before;
  }
  while (at != runs_.end() && at->first < pfns.end()) {
    const MappingRun run = RunOf(at);
    cut.push_back(PartOf(run, pfns));
    pages_ -= cut.back().count;
    if (run.writable) writable_ -= cut.back().count;
    kept.push_back(PartOf(run, ExtentBetween(Pfn(0), pfns.first)));
    kept.push_back(PartOf(run, ExtentBetween(pfns.end(), Pfn::None())));
    at = runs_.erase(at);
  }
  // What is kept of cut runs is at the ends, and continues nothing.
  for (const MappingRun& run : kept) {
    if (run.count == PageCount(0)) continue;
    runs_.emplace(run.pfn, Rest{run.mfn, run.count, run.writable});
  }
  return cut;
}

void MappingRuns::Add(const MappingRun& run) {
  assert(run.count > PageCount(0));
  Cut({run.pfn, run.count});
  Insert(run);
}

PageCount MappingRuns::Remove(PfnExtent pfns) {
  PageCount removed;
  for (const MappingRun& run : Cut(pfns)) removed += run.count;
  return removed;
}

PageCount MappingRuns::MakeReadOnly(PfnExtent pfns) {
  PageCount changed;
  if (!Touches(pfns, /*writable_only=*/true)) return changed;
  for (MappingRun& run : Cut(pfns)) {
    if (run.writable) changed += run.count;
    run.writable = false;
    Insert(run);
  }
  return changed;
}

void MappingRuns::Clear() { *this = MappingRuns(); }

std::optional<MappingRun> MappingRuns::Find(Pfn pfn) const {
  const auto at = FirstAfter(pfn);
  if (at == runs_.end() || at->first > pfn) return std::nullopt;
  return PartOf(RunOf(at), {pfn, PageCount(1)});
}

bool MappingRuns::Touches(PfnExtent pfns, bool writable_only) const {
  if (writable_only && writable_ == PageCount(0)) return false;
  for (auto at = FirstAfter(pfns.first);
       at != runs_.end() && at->first < pfns.end(); ++at) {
    if (at->second.writable || !writable_only) return true;
  }
  return false;
}

void MappingRuns::ForEachIn(
    PfnExtent pfns, absl::FunctionRef<void(const MappingRun&)> visit) const {
  for (auto at = FirstAfter(pfns.first);
       at != runs_.end() && at->first < pfns.end(); ++at) {
    visit(PartOf(RunOf(at), pfns));
  }
}

Pfn MappingRuns::List(Pfn from, size_t most,
                      std::vector<MappingRun>& runs) const {
  auto at = FirstAfter(from);
  for (size_t n = 0; n < most && at != runs_.end(); ++n, ++at) {
    runs.push_back(PartOf(RunOf(at), ExtentBetween(from, Pfn::None())));
  }
  return at == runs_.end() ? Pfn::None() : at->first;
}

}  // namespace simvisor
