#include "domain/p2m/structure_pages.h"

#include <cstdint>

#include "gtest/gtest.h"
#include "tests/support/extents.h"

namespace simvisor {
namespace {

TEST(StructurePagesTest, PagesAreFoundWithTheirPlaceInTheStructure) {
  StructurePages pages;
  pages.Add(Pfns(100, 110), PageRole::kLeaf, 7);
  pages.Add(Pfns(110, 111), PageRole::kTop, 0);
  EXPECT_FALSE(pages.Find(Pfn(99)).has_value());
  EXPECT_EQ(pages.Find(Pfn(100))->index, 7);
  EXPECT_EQ(pages.Find(Pfn(109))->index, 16);
  EXPECT_EQ(pages.Find(Pfn(109))->role, PageRole::kLeaf);
  EXPECT_EQ(pages.Find(Pfn(110))->role, PageRole::kTop);
  EXPECT_FALSE(pages.Find(Pfn(111)).has_value());
  EXPECT_EQ(pages.size().value(), 11);
}

TEST(StructurePagesTest, NeighboursOfAnotherUseStayApart) {
  StructurePages pages;
  pages.Add(Pfns(100, 102), PageRole::kLeaf, 7);
  pages.Add(Pfns(102, 104), PageRole::kLeaf, 9);   // goes on
  pages.Add(Pfns(104, 106), PageRole::kLeaf, 50);  // does not
  pages.Add(Pfns(98, 100), PageRole::kLeaf, 5);
  EXPECT_EQ(pages.Find(Pfn(103))->index, 10);
  EXPECT_EQ(pages.Find(Pfn(104))->index, 50);
  EXPECT_EQ(pages.Find(Pfn(99))->index, 6);
}

TEST(StructurePagesTest, TailsAndWholeExtentsCanBeForgotten) {
  StructurePages pages;
  pages.Add(Pfns(100, 110), PageRole::kLeaf, 7);
  pages.Remove(Pfns(105, 110));
  EXPECT_TRUE(pages.Find(Pfn(104)).has_value());
  EXPECT_FALSE(pages.Find(Pfn(105)).has_value());
  pages.Remove(Pfns(100, 105));
  EXPECT_FALSE(pages.Find(Pfn(100)).has_value());
  EXPECT_EQ(pages.size().value(), 0);
}

TEST(StructurePagesTest, RangesThatTouchAPageAreFound) {
  StructurePages pages;
  EXPECT_FALSE(pages.Intersects(Pfns(0, 1000)));
  pages.Add(Pfns(100, 110), PageRole::kLeaf, 7);
  EXPECT_TRUE(pages.Intersects(Pfns(109, 120)));
  EXPECT_TRUE(pages.Intersects(Pfns(0, 101)));
  EXPECT_TRUE(pages.Intersects(Pfns(0, 1000)));
  EXPECT_FALSE(pages.Intersects(Pfns(110, 120)));
  EXPECT_FALSE(pages.Intersects(Pfns(0, 100)));
  EXPECT_FALSE(pages.Intersects(Pfns(105, 105)));
}

}  // namespace
}  // namespace simvisor
