// Guest pages for tests of a list alone, and lists in the shapes they start
// from.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_SUPPORT_P2M_PAGES_H_
#define SIMVISOR_TESTS_SUPPORT_P2M_PAGES_H_

#include <algorithm>
#include <memory>

#include "domain/p2m/p2m_list.h"
#include "domain/p2m/page_source.h"
#include "gtest/gtest.h"

namespace simvisor {

// Hands out the pages of [first, end), upwards.
class PagesFrom : public PageSource {
 public:
  PagesFrom(uint64_t first, uint64_t end) : next_(first), end_(end) {}

  PfnExtent Take(PageCount count) override {
    const PfnExtent pages = {next_, std::min(count, end_ - next_)};
    next_ += pages.count;
    return pages;
  }
  void Return(PfnExtent pages) override { returned_ += pages.count; }

  Pfn next() const { return next_; }
  PageCount returned() const { return returned_; }

 private:
  Pfn next_;
  Pfn end_;
  PageCount returned_;
};

// A list of `pages` RAM words, pfn at mfn base + pfn, before relocation.
inline ListOverWords BuiltList(const Abi& abi, uint64_t pages, uint64_t base,
                               PageSource& source,
                               const P2mOptions& options = {}) {
  auto list = ListOverWords::Create(abi, Pfn(8 * abi.mid_span()), options);
  EXPECT_TRUE(list.ok());
  EXPECT_TRUE((*list)->Build(PageCount(pages), source).ok());
  (*list)->StoreFrames(Pfn(0), {Mfn(base), PageCount(pages)});
  return *std::move(list);
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_P2M_PAGES_H_
