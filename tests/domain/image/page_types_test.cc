#include "domain/image/page_types.h"

#include "gtest/gtest.h"
#include "tests/support/extents.h"

namespace simvisor {
namespace {

TEST(PageTypesTest, PfnThatWasNeverNamedHasNothing) {
  const PageTypes types(Pfn(100));
  EXPECT_EQ(types.end(), Pfn(100));
  EXPECT_TRUE(types.populated().empty());
  EXPECT_FALSE(types.IsNormal(Pfn(5)));
  EXPECT_EQ(types.TableLevelOf(Pfn(5)), 0);
}

TEST(PageTypesTest, LastTypeCounts) {
  PageTypes types(Pfn(100));
  types.Set(Pfns(0, 10), PageType::kNormal);
  types.Set(Pfns(3, 5), PageType::kL2Table);
  types.Set(Pfns(4, 5), static_cast<PageType>(0x9));  // pinned L1
  EXPECT_TRUE(types.IsNormal(Pfn(2)));
  EXPECT_FALSE(types.IsNormal(Pfn(3)));
  EXPECT_EQ(types.TableLevelOf(Pfn(3)), 2);
  EXPECT_EQ(types.TableLevelOf(Pfn(4)), 1);
  EXPECT_EQ(types.tables(2).size(), PageCount(1));
  types.Set(Pfns(3, 5), PageType::kAllocate);
  EXPECT_EQ(types.TableLevelOf(Pfn(3)), 0);
  EXPECT_FALSE(types.IsNormal(Pfn(3)));
  EXPECT_TRUE(types.tables(1).empty());
}

TEST(PageTypesTest, FrameStaysWhenThePageIsSentAsAbsent) {
  PageTypes types(Pfn(100));
  types.Set(Pfns(0, 10), PageType::kNormal);
  types.Set(Pfns(20, 21), PageType::kBroken);
  types.Set(Pfns(30, 31), PageType::kAllocate);
  types.Set(Pfns(5, 6), PageType::kAbsent);
  EXPECT_TRUE(types.populated().Contains(Pfn(5)));
  EXPECT_FALSE(types.IsNormal(Pfn(5)));
  EXPECT_FALSE(types.populated().Contains(Pfn(20)));
  EXPECT_TRUE(types.populated().Contains(Pfn(30)));
}

}  // namespace
}  // namespace simvisor
