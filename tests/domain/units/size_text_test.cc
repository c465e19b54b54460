#include "domain/units/size_text.h"

#include "gtest/gtest.h"

namespace simvisor {
namespace {

TEST(SizeTextTest, WholeMiBComeFirstAndPagesFollow) {
  EXPECT_EQ(SizeText(PageCount(131072)), "512 MiB (131072 pages)");
  EXPECT_EQ(SizeText(PageCount(256)), "1 MiB (256 pages)");
}

TEST(SizeTextTest, OtherAmountsAreOnlyPages) {
  EXPECT_EQ(SizeText(PageCount(0)), "0 pages");
  EXPECT_EQ(SizeText(PageCount(1)), "1 page");
  EXPECT_EQ(SizeText(PageCount(257)), "257 pages");
}

}  // namespace
}  // namespace simvisor
