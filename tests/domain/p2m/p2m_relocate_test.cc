// Relocation beyond what testdata/vectors/08_* holds: whose pages become
// leaves.

#include "domain/p2m/p2m_list.h"
#include "gtest/gtest.h"
#include "tests/support/p2m_pages.h"

namespace simvisor {
namespace {

TEST(P2mRelocateTest, BuilderPagesAreFreeAfterwardsOn64Bit) {
  PagesFrom pages(1000, 2000);
  auto list = BuiltList(kAbiX86_64, 2048, 0x100, pages);
  ASSERT_TRUE(list.Relocate(Pfn(0), pages).ok());
  EXPECT_EQ(pages.returned(), PageCount(4));
  EXPECT_FALSE(list->structure().Find(Pfn(1000)).has_value());
  EXPECT_TRUE(list->CheckInvariants().ok());
}

TEST(P2mRelocateTest, BuilderPagesBecomeLeavesOnPae) {
  PagesFrom pages(1000, 2000);
  auto list = BuiltList(kAbiX86_32Pae, 2048, 0x100, pages);
  const Pfn before = pages.next();
  ASSERT_TRUE(list.Relocate(Pfn(0), pages).ok());
  EXPECT_EQ(pages.returned(), PageCount(0));
  EXPECT_EQ(pages.next() - before, PageCount(4 + 2));  // constants, PTE pages
  EXPECT_EQ(list->Summary().leaf_frames, 2);
  EXPECT_TRUE(list->CheckInvariants().ok());
}

TEST(P2mRelocateTest, PagesToBootIsWhatBootTakes) {
  for (const Abi* abi : {&kAbiX86_64, &kAbiX86_32Pae}) {
    PagesFrom pages(1000, 90000);
    auto list = BuiltList(*abi, 3 * abi->leaf_span() / 2, 0x100, pages);
    list.built->AddExtraRegion(
        {Pfn(5 * abi->leaf_span() + 7), PageCount(abi->leaf_span())});
    const Pfn limit(2 * abi->mid_span());
    const PageCount expected = list.PagesToBoot(limit);
    const Pfn before = pages.next();
    ASSERT_TRUE(list.Relocate(limit, pages).ok());
    ASSERT_TRUE(list->Publish(pages).ok());
    EXPECT_EQ(pages.next() - before, expected) << abi->name;
    EXPECT_TRUE(list->CheckInvariants().ok());
  }
}

TEST(P2mRelocateTest, RoomThatEndsInTheLastLeafIsTheHintForTools) {
  PagesFrom pages(1000, 2000);
  auto list = BuiltList(kAbiX86_64, 3436, 0x100, pages);
  EXPECT_EQ(list.max_pfn(), Pfn(3584));
  list.built->AddExtraRegion({Pfn(3436), PageCount(1)});
  EXPECT_EQ(list.max_pfn(), Pfn(3437));
  ASSERT_TRUE(list.Relocate(Pfn(0), pages).ok());
  EXPECT_EQ(list->last_pfn(), Pfn(3437));
  EXPECT_EQ(list->p2m_size(), Pfn(kAbiX86_64.mid_span()));
}

TEST(P2mRelocateTest, RoomBehindTheAreaOfALowerRegionIsDropped) {
  PagesFrom pages(1000, 9000);
  auto list = BuiltList(kAbiX86_64, 1024, 0x100, pages);
  const uint64_t mid = kAbiX86_64.mid_span();
  list.built->AddExtraRegion({Pfn(3 * mid - 8), PageCount(16)});
  list.built->AddExtraRegion({Pfn(2 * mid + 5), PageCount(0)});
  const PageCount expected = list.PagesToBoot(Pfn(0));
  const Pfn before = pages.next();
  ASSERT_TRUE(list.Relocate(Pfn(0), pages).ok());
  ASSERT_TRUE(list->Publish(pages).ok());
  EXPECT_EQ(pages.next() - before, expected);
  EXPECT_EQ(list->p2m_size(), Pfn(3 * mid));
  EXPECT_EQ(list->last_pfn(), Pfn(3 * mid));  // raised by the rest of it
  EXPECT_EQ(list->extra_regions().size(), PageCount(8));
  EXPECT_TRUE(list->CheckInvariants().ok());
}

TEST(P2mRelocateTest, RunningOutOfPagesIsAnErrorAtEveryPage) {
  for (uint64_t given = 0; given < 9; ++given) {
    PagesFrom builder(1000, 1002);
    auto list = BuiltList(kAbiX86_64, 1024, 0x100, builder);
    ASSERT_EQ(list.PagesToBoot(Pfn(0)), PageCount(4 + 3 + 1 + 1 + 2));
    PagesFrom few(2000, 2000 + given);
    absl::Status status = list.Relocate(Pfn(0), few);
    if (status.ok()) status = list->Publish(few);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << given;
  }
}

}  // namespace
}  // namespace simvisor
