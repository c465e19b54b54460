#include "domain/guest/balloon_list.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"

namespace simvisor {
namespace {

using Extents = BalloonList::Extents;

void Append(Extents& extents, PfnExtent pfns) {
  if (pfns.empty()) return;
  if (!extents.empty() && extents.back().end() == pfns.first) {
    extents.back().count += pfns.count;
  } else {
    extents.push_back(pfns);
  }
}

// Removes `pfns` from all extents, adds what there was to `removed`, and
// returns how many that are.
PageCount Subtract(Extents& extents, const PfnSet& pfns, PfnSet& removed) {
  const PageCount before = removed.size();
  Extents kept;
  for (const PfnExtent& extent : extents) {
    Pfn at = extent.first;
    auto cut = pfns.extents().upper_bound(at);
    if (cut != pfns.extents().begin()) --cut;
    for (; cut != pfns.extents().end() && cut->first < extent.end(); ++cut) {
      const PfnExtent out = ExtentBetween(std::max(cut->first, at),
                                          std::min(cut->second, extent.end()));
      if (out.empty()) continue;
      removed.Add(out);
      Append(kept, ExtentBetween(at, out.first));
      at = out.end();
    }
    Append(kept, ExtentBetween(at, extent.end()));
  }
  extents = std::move(kept);
  return removed.size() - before;
}

}  // namespace

void BalloonList::Push(PfnExtent pfns) {
  const PfnExtent low =
      ExtentBetween(pfns.first, std::min(pfns.end(), high_start_));
  const PfnExtent high =
      ExtentBetween(std::max(pfns.first, high_start_), pfns.end());
  Append(low_, low);
  Append(high_, high);
  low_count_ += low.count;
  high_count_ += high.count;
}

PfnExtent BalloonList::Pop(PageCount count) {
  if (size() == PageCount(0) || count == PageCount(0)) return {};
  if (!low_.empty()) {
    PfnExtent& top = low_.back();
    count = std::min(count, top.count);
    const PfnExtent taken = {top.end() - count, count};
    top.count -= count;
    low_count_ -= count;
    if (top.empty()) low_.pop_back();
    return taken;
  }
  PfnExtent& next = high_.front();
  count = std::min(count, next.count);
  const PfnExtent taken = {next.first, count};
  next = ExtentBetween(taken.end(), next.end());
  high_count_ -= count;
  if (next.empty()) high_.pop_front();
  return taken;
}

std::vector<PfnExtent> BalloonList::Next(PageCount count) const {
  std::vector<PfnExtent> pieces;
  for (auto at = low_.rbegin(); count > PageCount(0) && at != low_.rend();
       ++at) {
    const PageCount taken = std::min(count, at->count);
    pieces.push_back({at->end() - taken, taken});
    count -= taken;
  }
  for (auto at = high_.begin(); count > PageCount(0) && at != high_.end();
       ++at) {
    pieces.push_back({at->first, std::min(count, at->count)});
    count -= pieces.back().count;
  }
  return pieces;
}

void BalloonList::PutBack(PfnExtent pfns) {
  if (pfns.empty()) return;
  if (pfns.first < high_start_) return Push(pfns);
  if (!high_.empty() && high_.front().first == pfns.end()) {
    high_.front() = {pfns.first, pfns.count + high_.front().count};
  } else {
    high_.push_front(pfns);
  }
  high_count_ += pfns.count;
}

void BalloonList::Remove(PfnExtent pfns) {
  PfnSet set;
  set.Add(pfns);
  Remove(set);
}

void BalloonList::Encode(StateWriter& out) const {
  for (const Extents* extents : {&low_, &high_}) {
    out.Put(extents->size());
    for (const PfnExtent& pfns : *extents) out.Put(pfns);
  }
}

void BalloonList::Decode(StateReader& in, Pfn end, MayHold may_hold) {
  PfnSet held;
  for (const bool low : {true, false}) {
    const char* const field = low ? "balloon.low" : "balloon.high";
    const Pfn from = low ? Pfn(0) : high_start_;
    const Pfn to = low ? std::min(end, high_start_) : end;
    for (uint64_t n = in.GetCount(field, 2); n > 0 && in.ok(); --n) {
      const PfnExtent pfns = in.GetPfns(field, from, to);
      if (!in.ok()) return;
      if (held.CountIn(pfns) > PageCount(0) || !may_hold(pfns)) {
        in.Fail(
            absl::StrFormat("%d pfns from 0x%x on, of which one has a "
                            "page, is identity, or came before; each must "
                            "be missing and come once",
                            pfns.count.value(), pfns.first.value()));
        return;
      }
      held.Add(pfns);
      Push(pfns);
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
