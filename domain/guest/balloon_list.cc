#include "domain/guest/balloon_list.h"

#include <algorithm>
#include <utility>

namespace simvisor {

void BalloonList::Push(PfnExtent pfns) {
  if (pfns.empty()) return;
  size_ += pfns.count;
  if (!stack_.empty() && stack_.back().end() == pfns.first) {
    stack_.back().count += pfns.count;
  } else {
    stack_.push_back(pfns);
  }
}

PfnExtent BalloonList::Pop(PageCount count) {
  if (stack_.empty() || count == PageCount(0)) return {};
  PfnExtent& top = stack_.back();
  count = std::min(count, top.count);
  const PfnExtent taken = {top.end() - count, count};
  top.count -= count;
  size_ -= count;
  if (top.empty()) stack_.pop_back();
  return taken;
}

void BalloonList::Remove(PfnExtent pfns) {
  std::vector<PfnExtent> kept;
  for (const PfnExtent& extent : stack_) {
    const PfnExtent below =
        ExtentBetween(extent.first, std::min(extent.end(), pfns.first));
    const PfnExtent above =
        ExtentBetween(std::max(extent.first, pfns.end()), extent.end());
    size_ -= extent.count - below.count - above.count;
    if (!below.empty()) kept.push_back(below);
    if (!above.empty()) kept.push_back(above);
  }
  stack_ = std::move(kept);
}

}  // namespace simvisor
