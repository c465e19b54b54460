// Top-level tables of 32 bytes in slab pages.

#include "domain/processes/table_slab.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "domain/guest/free_pages.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

class TableSlabTest : public testing::Test {
 protected:
  TableSlabTest() { source_.Return({Pfn(1000), PageCount(10)}); }
  ~TableSlabTest() override { EXPECT_THAT(slab_.CheckInvariants(), IsOk()); }

  TableSlab::Place Add(uint64_t owner) {
    const std::optional<TableSlab::Place> place = slab_.Add(owner, source_);
    EXPECT_TRUE(place.has_value());
    return place.value_or(TableSlab::Place());
  }

  FreePages source_;
  TableSlab slab_;
};

TEST_F(TableSlabTest, APageHolds128Objects) {
  for (uint64_t i = 0; i < 128; ++i) {
    const TableSlab::Place place = Add(i + 1);
    EXPECT_EQ(place.page, Pfn(1000));
    EXPECT_EQ(place.number, i);
  }
  EXPECT_EQ(slab_.pages(), PageCount(1));
  EXPECT_EQ(slab_.PagesToAdd(1), PageCount(1));
  EXPECT_EQ(Add(129).page, Pfn(1001));
  EXPECT_EQ(slab_.PagesToAdd(127), PageCount(0));
  EXPECT_EQ(slab_.PagesToAdd(128), PageCount(1));
  EXPECT_EQ(slab_.PagesToAdd(127 + 129), PageCount(2));
}

TEST_F(TableSlabTest, FreedPlacesAreFilledBeforeAPageIsTaken) {
  for (uint64_t i = 0; i < 256; ++i) Add(i + 1);
  slab_.Remove({Pfn(1001), 5}, source_);
  slab_.Remove({Pfn(1000), 77}, source_);
  const TableSlab::Place first = Add(300);
  EXPECT_EQ(first.page, Pfn(1000));
  EXPECT_EQ(first.number, 77u);
  const TableSlab::Place second = Add(301);
  EXPECT_EQ(second.page, Pfn(1001));
  EXPECT_EQ(second.number, 5u);
  EXPECT_EQ(slab_.Find(Pfn(1000))->at(77), 300u);
  EXPECT_EQ(slab_.pages(), PageCount(2));
}

TEST_F(TableSlabTest, APageWithoutObjectsGoesBack) {
  const TableSlab::Place one = Add(1);
  const TableSlab::Place two = Add(2);
  EXPECT_EQ(source_.count(), PageCount(9));
  slab_.Remove(one, source_);
  EXPECT_EQ(source_.count(), PageCount(9));
  slab_.Remove(two, source_);
  EXPECT_EQ(source_.count(), PageCount(10));
  EXPECT_EQ(slab_.Find(Pfn(1000)), nullptr);
  EXPECT_FALSE(slab_.Intersects({Pfn(0), PageCount(5000)}));
}

TEST_F(TableSlabTest, WithoutAPageThereAreNoObjects) {
  source_.Remove({Pfn(1000), PageCount(10)});
  EXPECT_FALSE(slab_.Add(1, source_).has_value());
  EXPECT_EQ(slab_.objects(), 0u);
  EXPECT_EQ(slab_.pages(), PageCount(0));
}

}  // namespace
}  // namespace simvisor
