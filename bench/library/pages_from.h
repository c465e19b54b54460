// A source of guest pages for a p2m list without a guest.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_BENCH_LIBRARY_PAGES_FROM_H_
#define SIMVISOR_BENCH_LIBRARY_PAGES_FROM_H_

#include "domain/p2m/page_source.h"
#include "domain/units/units.h"

namespace simvisor::bench {

// Gives pages from `first` on, without end.
class PagesFrom final : public PageSource {
 public:
  explicit PagesFrom(Pfn first) : next_(first) {}

  PfnExtent Take(PageCount count) override {
    const PfnExtent pages = {next_, count};
    next_ += count;
    return pages;
  }
  void Return(PfnExtent) override {}

 private:
  Pfn next_;
};

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_LIBRARY_PAGES_FROM_H_
