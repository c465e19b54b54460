// An unlimited number of pages, or as many as a case allows.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_VECTORS_LIMITED_SOURCE_H_
#define SIMVISOR_TESTS_VECTORS_LIMITED_SOURCE_H_

#include <algorithm>
#include <cstdint>
#include <optional>

#include "domain/p2m/page_source.h"
#include "domain/units/units.h"

namespace simvisor {

class LimitedSource : public PageSource {
 public:
  PfnExtent Take(PageCount count) override {
    if (left_.has_value()) {
      count = std::min(count, *left_);
      *left_ -= count;
    }
    const PfnExtent pages = {next_, count};
    next_ += count;
    taken_ += count;
    return pages;
  }
  void Return(PfnExtent pages) override {
    returned_ += pages.count;
    if (left_.has_value()) *left_ += pages.count;
  }

  void Limit(PageCount left) { left_ = left; }
  bool Has(PageCount count) const {
    return !left_.has_value() || *left_ >= count;
  }
  // Pages taken so far, including and excluding those given back.
  uint64_t taken() const { return taken_.value(); }
  uint64_t kept() const { return taken_.value() - returned_.value(); }

 private:
  Pfn next_{uint64_t{1} << 40};
  PageCount taken_;
  PageCount returned_;
  std::optional<PageCount> left_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_VECTORS_LIMITED_SOURCE_H_
