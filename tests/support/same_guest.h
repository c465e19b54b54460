// Compares a guest with its restored or migrated copy.

#ifndef SIMVISOR_TESTS_SUPPORT_SAME_GUEST_H_
#define SIMVISOR_TESTS_SUPPORT_SAME_GUEST_H_

#include <string>

#include "absl/types/span.h"
#include "domain/vm/domain.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"

namespace simvisor {

inline std::string ReadPage(Domain& domain, Pfn pfn) {
  std::string page(kPageSize, '\0');
  EXPECT_THAT(
      domain.contents().Read(pfn, 0, absl::MakeSpan(&page[0], kPageSize)),
      IsOk());
  return page;
}

// Expects that two guests differ only in their frames.
inline void ExpectSame(Domain& a, Domain& b) {
  EXPECT_EQ(a.p2m().Summary()->summary, b.p2m().Summary()->summary);
  EXPECT_EQ(a.p2m().Summary()->remapped, b.p2m().Summary()->remapped);
  EXPECT_EQ(a.p2m().Summary()->released, b.p2m().Summary()->released);
  const Pfn end(a.p2m().Summary()->summary.p2m_size);
  const auto runs = RunsByClass(a, Pfn(0), end);
  const auto others = RunsByClass(b, Pfn(0), end);
  ASSERT_EQ(runs.size(), others.size());
  for (size_t i = 0; i < runs.size(); ++i) {
    EXPECT_EQ(runs[i].pfns, others[i].pfns);
    EXPECT_EQ(runs[i].word.Class(), others[i].word.Class());
    if (runs[i].word.Class() == P2mClass::kIdentity) {
      EXPECT_EQ(runs[i].word, others[i].word);
    }
  }
  const DomainInfo from = a.Info();
  const DomainInfo to = b.Info();
  EXPECT_EQ(from.e820, to.e820);
  EXPECT_EQ(from.memory.current, to.memory.current);
  EXPECT_EQ(from.memory.target, to.memory.target);
  EXPECT_EQ(from.memory.static_max, to.memory.static_max);
  EXPECT_EQ(from.memory.max, to.memory.max);
  EXPECT_EQ(from.memory.balloon, to.memory.balloon);
  EXPECT_EQ(from.memory.available, to.memory.available);
  EXPECT_EQ(from.memory.p2m_pages, to.memory.p2m_pages);
  EXPECT_EQ(from.memory.address_space_pages, to.memory.address_space_pages);
  ASSERT_TRUE(from.balloon_driver.has_value());
  ASSERT_TRUE(to.balloon_driver.has_value());
  EXPECT_EQ(from.balloon_driver->current, to.balloon_driver->current);
  EXPECT_EQ(from.balloon_driver->low, to.balloon_driver->low);
  EXPECT_EQ(from.balloon_driver->high, to.balloon_driver->high);
  EXPECT_EQ(from.balloon_driver->extra_regions,
            to.balloon_driver->extra_regions);
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_SAME_GUEST_H_
