// Boots of a list alone; boots of whole domains are in domain_boot_test.cc.

#include "domain/guest/guest_boot.h"

#include "domain/guest/e820.h"
#include "gtest/gtest.h"
#include "tests/e820_testing.h"
#include "tests/p2m_pages.h"

namespace simvisor {
namespace {

constexpr uint64_t kBase = 0x40000;

MemorySetup Plan(const E820Map& map, uint64_t pages) {
  auto setup = PlanMemorySetup({.abi = &kAbiX86_64,
                                .e820 = &map,
                                .nr_pages = PageCount(pages),
                                .ceiling = PageCount(pages),
                                .initial = true,
                                .area_limit = Pfn(0)});
  EXPECT_TRUE(setup.ok());
  return *std::move(setup);
}

TEST(GuestBootTest, FramesUnderAHoleAnswerAboveTheInitialSizeInOrder) {
  const E820Map map = MakeMap({Ram(0, 4 * kMiB), Reserved(4 * kMiB, 5 * kMiB),
                               Ram(5 * kMiB, 32 * kMiB)});
  const MemorySetup setup = Plan(map, 4096);
  PagesFrom pages(300, 900);
  const auto list = BuiltList(kAbiX86_64, 4096, kBase, pages);
  const auto result = BootGuest(*list, setup, Pfn(0), pages);
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->moved.size(), 1);
  EXPECT_EQ(result->moved[0].first, Pfn(4096));
  EXPECT_EQ(result->moved[0].frames,
            (MfnExtent{Mfn(kBase + 1024), PageCount(256)}));
  EXPECT_EQ(list->Lookup(Pfn(1024)), P2mWord::Identity(Pfn(1024)));
  EXPECT_EQ(list->Lookup(Pfn(4096 + 255)), P2mWord::Ram(Mfn(kBase + 1279)));
  EXPECT_TRUE(result->released.empty());
  EXPECT_TRUE(list->extra_regions().empty());
  EXPECT_TRUE(list->tree_fresh());
}

TEST(GuestBootTest, FramesThatFindNoRoomAreGivenBack) {
  const E820Map map =
      MakeMap({Ram(0, 12 * kMiB), Reserved(12 * kMiB, 16 * kMiB)});
  const MemorySetup setup = Plan(map, 4096);
  PagesFrom pages(300, 900);
  const auto list = BuiltList(kAbiX86_64, 4096, kBase, pages);
  const auto result = BootGuest(*list, setup, Pfn(0), pages);
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->released.size(), 1);
  EXPECT_EQ(result->released[0],
            (MfnExtent{Mfn(kBase + 3072), PageCount(1024)}));
  EXPECT_EQ(list->Summary().ram, 3072);
}

TEST(GuestBootTest, PagesToBootIsEnoughAndOneLessIsNot) {
  const E820Map map = E820Map::SingleRam(PageCount(5000));
  const MemorySetup setup = Plan(map, 4096);
  const auto needed = PagesToBoot(kAbiX86_64, PageCount(4096), setup, Pfn(0));
  ASSERT_TRUE(needed.ok());
  for (const uint64_t short_by : {0, 1}) {
    PagesFrom pages(300, 300 + needed->value() - short_by);
    const auto list = BuiltList(kAbiX86_64, 4096, kBase, pages);
    EXPECT_EQ(BootGuest(*list, setup, Pfn(0), pages).ok(), short_by == 0);
  }
}

}  // namespace
}  // namespace simvisor
