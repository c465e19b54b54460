#include "domain/guest/down_plan.h"

#include <algorithm>
#include <cassert>

namespace simvisor {

void DownPlan::Add(PfnExtent pfns) {
  extents_.push_back(pfns);
  count_ += pfns.count;
}

PfnSet DownPlan::Set() const {
  PfnSet set;
  for (size_t i = next_; i < extents_.size(); ++i) set.Add(extents_[i]);
  return set;
}

PfnExtent DownPlan::TakeFirst() {
  assert(!empty());
  const PfnExtent first = extents_[next_++];
  count_ -= first.count;
  return first;
}

void DownPlan::PutBack(PfnExtent pfns) {
  assert(next_ > 0);
  extents_[--next_] = pfns;
  count_ += pfns.count;
}

DownPlan DownPlan::TakeRound(size_t most_extents, PageCount most_pages,
                             PageCount batch) {
  PageCount pages;
  for (size_t i = 0; i < most_extents && next_ + i < extents_.size(); ++i) {
    pages += extents_[next_ + i].count;
  }
  pages = std::min(pages, most_pages);
  if (pages < count_) {
    pages -= PageCount(pages.value() % batch.value());
  }
  DownPlan round;
  while (round.count() < pages) {
    PfnExtent first = TakeFirst();
    const PageCount count = std::min(first.count, pages - round.count());
    round.Add({first.end() - count, count});
    if (count < first.count) PutBack({first.first, first.count - count});
  }
  return round;
}

}  // namespace simvisor
