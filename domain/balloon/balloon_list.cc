#include "domain/balloon/balloon_list.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_format.h"

namespace simvisor {
namespace {

using Run = BalloonList::Run;
using Runs = BalloonList::Runs;

bool Touches(const PfnSet& set, PfnExtent pfns) {
  const auto after = set.extents().lower_bound(pfns.end());
  return after != set.extents().begin() &&
         std::prev(after)->second > pfns.first;
}

void Append(Runs& runs, Run run) {
  if (run.pfns.empty()) return;
  if (!run.striped() && !runs.empty() && !runs.back().striped() &&
      runs.back().pfns.end() == run.pfns.first) {
    runs.back().pfns.count += run.pfns.count;
    runs.back().stripe = BalloonList::kOneStripe;
    return;
  }
  if (!run.striped()) run.stripe = BalloonList::kOneStripe;
  runs.push_back(run);
}

// Appends what `pfns` leaves of `part`, whose pfns follow each other upwards,
// and adds the rest to `removed`.
void KeepPart(PfnExtent part, const PfnSet& pfns, Runs& kept, PfnSet& removed) {
  Pfn at = part.first;
  auto cut = pfns.extents().upper_bound(at);
  if (cut != pfns.extents().begin()) --cut;
  for (; cut != pfns.extents().end() && cut->first < part.end(); ++cut) {
    const PfnExtent out = ExtentBetween(std::max(cut->first, at),
                                        std::min(cut->second, part.end()));
    if (out.empty()) continue;
    removed.Add(out);
    Append(kept, {ExtentBetween(at, out.first)});
    at = out.end();
  }
  Append(kept, {ExtentBetween(at, part.end())});
}

// The same for a run of stripes, from the highest on; untouched stripes stay
// together.
void KeepStripes(const Run& run, const PfnSet& pfns, Runs& kept,
                 PfnSet& removed) {
  Pfn whole_end = run.pfns.end();
  for (Pfn end = whole_end; end > run.pfns.first; end = end - run.stripe) {
    const PfnExtent stripe = {end - run.stripe, run.stripe};
    if (!Touches(pfns, stripe)) continue;
    Append(kept, {ExtentBetween(end, whole_end), run.stripe});
    KeepPart(stripe, pfns, kept, removed);
    whole_end = stripe.first;
  }
  Append(kept, {ExtentBetween(run.pfns.first, whole_end), run.stripe});
}

// Removes `pfns` from all runs, adds the pfns that were in a run to `removed`,
// and returns their number.
PageCount Subtract(Runs& runs, const PfnSet& pfns, PfnSet& removed) {
  const PageCount before = removed.size();
  Runs kept;
  for (const Run& run : runs) {
    if (!Touches(pfns, run.pfns)) {
      Append(kept, run);
    } else if (run.striped()) {
      KeepStripes(run, pfns, kept, removed);
    } else {
      KeepPart(run.pfns, pfns, kept, removed);
    }
  }
  runs = std::move(kept);
  return removed.size() - before;
}

// How many of the `count` pfns of `run` that come back next lie together.
PageCount Together(const Run& run, PageCount count) {
  if (!run.striped()) return std::min(count, run.pfns.count);
  if (count < run.stripe) return count;
  count = std::min(count, run.pfns.count);
  return PageCount(count.value() - count.value() % run.stripe.value());
}

// Takes up to `count` pfns that lie together off the top of the stack.
PfnExtent TakeTop(Runs& low, PageCount count) {
  Run& top = low.back();
  count = Together(top, count);
  PfnExtent taken;
  if (!top.striped()) {
    taken = {top.pfns.end() - count, count};
    top.pfns.count -= count;
  } else if (count >= top.stripe) {
    taken = {top.pfns.first, count};
    top.pfns = ExtentBetween(taken.end(), top.pfns.end());
  } else {
    // The lowest stripe is a run of its own from now on.
    const Run lowest = {{top.pfns.first, top.stripe}};
    top.pfns = ExtentBetween(lowest.pfns.end(), top.pfns.end());
    low.push_back(lowest);
    return TakeTop(low, count);
  }
  if (top.pfns.empty()) low.pop_back();
  return taken;
}

}  // namespace

void BalloonList::Push(PfnExtent pfns) {
  const PfnExtent high =
      ExtentBetween(std::max(pfns.first, high_start_), pfns.end());
  PushLow({ExtentBetween(pfns.first, std::min(pfns.end(), high_start_))});
  Append(high_, {high});
  high_count_ += high.count;
}

void BalloonList::PushLow(Run run) {
  Append(low_, run);
  low_count_ += run.pfns.count;
}

void BalloonList::PushTaken(absl::Span<const PfnExtent> taken,
                            PageCount batch) {
  std::vector<PfnExtent> parts;  // of the batch that is not whole yet
  PageCount missing = batch;
  const auto end_batch = [&] {
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
      Push(*part);
    }
    parts.clear();
    missing = batch;
  };
  for (PfnExtent rest : taken) {
    while (!rest.empty()) {
      if (missing == batch && rest.first < high_start_ &&
          rest.end() <= high_start_ && rest.count >= batch) {
        const uint64_t whole = rest.count.value() / batch.value();
        const PageCount count(whole * batch.value());
        PushLow({{rest.end() - count, count}, batch});
        rest.count -= count;
        continue;
      }
      const PageCount count = std::min(rest.count, missing);
      parts.push_back({rest.end() - count, count});
      rest.count -= count;
      missing -= count;
      if (missing == PageCount(0)) end_batch();
    }
  }
  end_batch();
}

PfnExtent BalloonList::Pop(PageCount count) {
  if (size() == PageCount(0) || count == PageCount(0)) return {};
  if (!low_.empty()) {
    const PfnExtent taken = TakeTop(low_, count);
    low_count_ -= taken.count;
    return taken;
  }
  PfnExtent& next = high_.front().pfns;
  count = std::min(count, next.count);
  const PfnExtent taken = {next.first, count};
  next = ExtentBetween(taken.end(), next.end());
  high_count_ -= count;
  if (next.empty()) high_.pop_front();
  return taken;
}

std::vector<PfnExtent> BalloonList::Next(PageCount count) const {
  std::vector<PfnExtent> pieces;
  Runs one;
  for (auto at = low_.rbegin(); count > PageCount(0) && at != low_.rend();
       ++at) {
    one.assign(1, *at);
    while (!one.empty() && count > PageCount(0)) {
      pieces.push_back(TakeTop(one, count));
      count -= pieces.back().count;
    }
  }
  for (auto at = high_.begin(); count > PageCount(0) && at != high_.end();
       ++at) {
    pieces.push_back({at->pfns.first, std::min(count, at->pfns.count)});
    count -= pieces.back().count;
  }
  return pieces;
}

void BalloonList::PutBack(PfnExtent pfns) {
  if (pfns.empty()) return;
  if (pfns.first < high_start_) return Push(pfns);
  if (!high_.empty() && high_.front().pfns.first == pfns.end()) {
    high_.front().pfns = {pfns.first, pfns.count + high_.front().pfns.count};
  } else {
    high_.push_front({pfns});
  }
  high_count_ += pfns.count;
}

void BalloonList::Remove(PfnExtent pfns) {
  PfnSet set;
  set.Add(pfns);
  Remove(set);
}

void BalloonList::Encode(StateWriter& out) const {
  for (const Runs* runs : {&low_, &high_}) {
    out.Put(runs->size());
    for (const Run& run : *runs) {
      out.Put(run.pfns);
      if (runs == &low_) out.Put(run.striped() ? 1 : 0);
    }
  }
}

void BalloonList::Decode(StateReader& in, Pfn end,
                         std::optional<PageCount> batch, MayHold may_hold) {
  PfnSet held;
  for (const bool low : {true, false}) {
    const char* const field = low ? "balloon.low" : "balloon.high";
    const Pfn from = low ? Pfn(0) : high_start_;
    const Pfn to = low ? std::min(end, high_start_) : end;
    const bool flags = low && batch.has_value();
    for (uint64_t n = in.GetCount(field, flags ? 3 : 2); n > 0 && in.ok();
         --n) {
      const PfnExtent pfns = in.GetPfns(field, from, to);
      if (!in.ok()) return;
      if (held.CountIn(pfns) > PageCount(0) || !may_hold(pfns)) {
        in.Fail(
            absl::StrFormat("%d pfns from 0x%x on, of which one has a "
                            "page, is identity, lies below 1 MiB, or came "
                            "before; each must be missing and come once",
                            pfns.count.value(), pfns.first.value()));
        return;
      }
      held.Add(pfns);
      if (!flags || !in.GetFlag("balloon.striped")) {
        Push(pfns);
        continue;
      }
      if (pfns.count.value() % batch->value() != 0) {
        in.Fail(absl::StrFormat("1, of %d pfns; batches have %d",
                                pfns.count.value(), batch->value()));
      }
      if (!in.ok()) return;
      PushLow({pfns, *batch});
    }
  }
}

PfnSet BalloonList::Remove(const PfnSet& pfns) {
  PfnSet removed;
  low_count_ -= Subtract(low_, pfns, removed);
  high_count_ -= Subtract(high_, pfns, removed);
  return removed;
}

}  // namespace simvisor
