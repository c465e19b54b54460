#include "domain/guest/free_pages.h"

#include <algorithm>
#include <cassert>

namespace simvisor {

FreePages::Settled::Settled(FreePages& pages, PageCount count) : pages_(pages) {
  assert(pages.settled_ == PageCount(0));
  if (pages.faults_ == nullptr) {
    count_ = count;
    return;
  }
  if (!pages.faults_->MayFail(AllocationSite::kGuestPage)) count_ = count;
  while (count_ < count &&
         !pages.faults_->FailNow(AllocationSite::kGuestPage)) {
    count_ += PageCount(1);
  }
  pages.settled_ = count_;
}

FreePages::Settled::~Settled() { pages_.settled_ = PageCount(0); }

PfnExtent FreePages::Take(PageCount count) {
  assert(count > PageCount(0));
  return Taken(free_.TakeLowest(Granted(count)));
}

PfnExtent FreePages::TakeForBalloon(PageCount count) {
  return Taken(free_.TakeHighest(Granted(count)));
}

std::vector<PfnExtent> FreePages::RemoveWithin(PfnExtent pages) {
  std::vector<PfnExtent> removed;
  auto at = free_.extents().upper_bound(pages.first);
  if (at != free_.extents().begin()) --at;
  for (; at != free_.extents().end() && at->first < pages.end(); ++at) {
    const PfnExtent part = ExtentBetween(std::max(at->first, pages.first),
                                         std::min(at->second, pages.end()));
    if (!part.empty()) removed.push_back(part);
  }
  free_.Remove(pages);
  return removed;
}

PfnExtent FreePages::Taken(PfnExtent pages) {
  settled_ -= std::min(settled_, pages.count);
  return pages;
}

PageCount FreePages::Granted(PageCount count) {
  if (faults_ == nullptr || !faults_->MayFail(AllocationSite::kGuestPage)) {
    return count;
  }
  if (settled_ > PageCount(0)) return std::min(count, settled_);
  // One at a time, so that each of them can be refused.
  return PageCount(faults_->FailNow(AllocationSite::kGuestPage) ? 0 : 1);
}

}  // namespace simvisor
