// Guest pages that run out when a test wants them to.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_SUPPORT_LIMITED_PAGES_H_
#define SIMVISOR_TESTS_SUPPORT_LIMITED_PAGES_H_

#include <algorithm>
#include <cstdint>

#include "domain/p2m/page_source.h"
#include "domain/units/units.h"

namespace simvisor {

// Hands out pages from `next` on, in extents of at most `longest`, until `left`
// is used up.
class LimitedPages : public PageSource {
 public:
  PfnExtent Take(PageCount count) override {
    const uint64_t n = std::min({count.value(), longest, left});
    const PfnExtent pages = {Pfn(next), PageCount(n)};
    next += n;
    if (n < count.value()) ++next;  // a gap, so extents do not join
    left -= n;
    taken += n;
    return n == 0 ? PfnExtent{} : pages;
  }
  void Return(PfnExtent pages) override {
    left += pages.count.value();
    taken -= pages.count.value();
  }

  uint64_t next = uint64_t{1} << 32;
  uint64_t longest = ~uint64_t{0};
  uint64_t left = ~uint64_t{0};
  uint64_t taken = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_LIMITED_PAGES_H_
