#include "domain/smmu/mapping_runs.h"

#include <algorithm>
#include <iterator>

namespace simvisor {
namespace {

// The part of `run` from `first` up to `end`.
MappingRun CutRun(const MappingRun& run, Pfn first, Pfn end) {
  const Pfn from = std::max(run.pfn, first);
  const Pfn to = std::min(run.pfn + run.count, end);
  return {from, run.mfn + (from - run.pfn), to - from, run.writable};
}

bool Continues(const MappingRun& run, const MappingRun& next) {
  return run.pfn + run.count == next.pfn && run.mfn + run.count == next.mfn &&
         run.writable == next.writable;
}

// The first run that ends after `pfn`.
template <typename Runs>
auto FirstRunFrom(Runs& runs, Pfn pfn) {
  const auto after = runs.upper_bound(pfn);
  if (after == runs.begin()) return after;
  const auto before = std::prev(after);
  return before->first + before->second.count > pfn ? before : after;
}

}  // namespace

void MappingRuns::Record(const MappingRun& run) {
  Remove({run.pfn, run.count});
  Add(run);
}

PageCount MappingRuns::Remove(PfnExtent pfns) {
  PageCount removed;
  auto at = FirstRunFrom(runs_, pfns.first);
  while (at != runs_.end() && at->first < pfns.end()) {
    const MappingRun run = {at->first, at->second.mfn, at->second.count,
                            at->second.writable};
    const MappingRun gone = CutRun(run, pfns.first, pfns.end());
    removed += gone.count;
    mapped_ -= gone.count;
    if (run.writable) writable_ -= gone.count;
    const Pfn end = run.pfn + run.count;
    if (run.pfn < gone.pfn) {
      at->second.count = gone.pfn - run.pfn;
      ++at;
    } else {
      at = runs_.erase(at);
    }
    const Pfn after = gone.pfn + gone.count;
    if (after < end) {
      const MappingRun rest = CutRun(run, after, end);
      runs_[rest.pfn] = {rest.mfn, rest.count, rest.writable};
      break;
    }
  }
  return removed;
}

PageCount MappingRuns::Protect(PfnExtent pfns) {
  std::vector<MappingRun> writable;
  VisitIn(pfns, [&writable](const MappingRun& run) {
    if (run.writable) writable.push_back(run);
    return true;
  });
  PageCount changed;
  for (MappingRun& run : writable) {
    changed += run.count;
    run.writable = false;
    Record(run);
  }
  return changed;
}

void MappingRuns::Clear() {
  runs_.clear();
  mapped_ = writable_ = PageCount(0);
}

std::optional<MappingRun> MappingRuns::Find(Pfn pfn) const {
  std::optional<MappingRun> found;
  VisitIn({pfn, PageCount(1)}, [&found](const MappingRun& run) {
    found = run;
    return false;
  });
  return found;
}

bool MappingRuns::Meets(PfnExtent pfns, bool writable) const {
  bool meets = false;
  VisitIn(pfns, [&meets, writable](const MappingRun& run) {
    meets = run.writable || !writable;
    return !meets;
  });
  return meets;
}

void MappingRuns::VisitIn(
    PfnExtent pfns, absl::FunctionRef<bool(const MappingRun&)> visit) const {
  for (auto at = FirstRunFrom(runs_, pfns.first);
       at != runs_.end() && at->first < pfns.end(); ++at) {
    const MappingRun run = {at->first, at->second.mfn, at->second.count,
                            at->second.writable};
    if (!visit(CutRun(run, pfns.first, pfns.end()))) return;
  }
}

void MappingRuns::Add(MappingRun run) {
  mapped_ += run.count;
  if (run.writable) writable_ += run.count;
  auto next = runs_.lower_bound(run.pfn);
  if (next != runs_.end() &&
      Continues(run, {next->first, next->second.mfn, next->second.count,
                      next->second.writable})) {
    run.count += next->second.count;
    next = runs_.erase(next);
  }
  if (next != runs_.begin()) {
    const auto before = std::prev(next);
    if (Continues({before->first, before->second.mfn, before->second.count,
                   before->second.writable},
                  run)) {
      before->second.count += run.count;
      return;
    }
  }
  runs_[run.pfn] = {run.mfn, run.count, run.writable};
}

}  // namespace simvisor
