#include "base/size.h"
#include "gtest/gtest.h"

namespace simvisor {
namespace {

TEST(SizeOfPagesTest, WholeMiBComeFirstAndPagesFollow) {
  EXPECT_EQ(SizeOfPages(131072), "512 MiB (131072 pages)");
  EXPECT_EQ(SizeOfPages(256), "1 MiB (256 pages)");
}

TEST(SizeOfPagesTest, OtherAmountsOfAMiBOrMoreAreRoundedDown) {
  EXPECT_EQ(SizeOfPages(257), "1.0 MiB (257 pages)");
  EXPECT_EQ(SizeOfPages(197473), "771.3 MiB (197473 pages)");
}

TEST(SizeOfPagesTest, LessThanAMiBIsOnlyPages) {
  EXPECT_EQ(SizeOfPages(0), "0 pages");
  EXPECT_EQ(SizeOfPages(1), "1 page");
  EXPECT_EQ(SizeOfPages(255), "255 pages");
}

}  // namespace
}  // namespace simvisor
