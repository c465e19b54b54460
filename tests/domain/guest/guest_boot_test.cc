// Boots of a list without a domain; domain_boot_test.cc boots whole domains.

#include "domain/guest/guest_boot.h"

#include "domain/e820/e820.h"
#include "gtest/gtest.h"
#include "tests/support/change_permit.h"
#include "tests/support/e820_testing.h"
#include "tests/support/p2m_pages.h"

namespace simvisor {
namespace {

constexpr uint64_t kBase = 0x40000;

MemorySetup PlanInitial(const E820Map& map, uint64_t pages) {
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
  const MemorySetup setup = PlanInitial(map, 4096);
  PagesFrom pages(300, 900);
  auto list = BuiltList(kAbiX86_64, 4096, kBase, pages);
  const auto result =
      BootGuest(kPermit, *std::move(list.built), setup, {}, Pfn(0), pages);
  ASSERT_TRUE(result.ok());
  const P2mList& kernels = *result->list;
  ASSERT_EQ(result->moved.size(), 1);
  EXPECT_EQ(result->moved[0].first, Pfn(4096));
  EXPECT_EQ(result->moved[0].frames,
            (MfnExtent{Mfn(kBase + 1024), PageCount(256)}));
  EXPECT_EQ(kernels.Lookup(Pfn(1024)), P2mWord::Identity(Pfn(1024)));
  EXPECT_EQ(kernels.Lookup(Pfn(4096 + 255)), P2mWord::Ram(Mfn(kBase + 1279)));
  EXPECT_TRUE(result->released.empty());
  EXPECT_TRUE(kernels.extra_regions().empty());
  EXPECT_TRUE(kernels.fresh());
}

TEST(GuestBootTest, FramesThatFindNoRoomAreGivenBack) {
  const E820Map map =
      MakeMap({Ram(0, 12 * kMiB), Reserved(12 * kMiB, 16 * kMiB)});
  const MemorySetup setup = PlanInitial(map, 4096);
  PagesFrom pages(300, 900);
  auto list = BuiltList(kAbiX86_64, 4096, kBase, pages);
  const auto result =
      BootGuest(kPermit, *std::move(list.built), setup, {}, Pfn(0), pages);
  ASSERT_TRUE(result.ok());
  const P2mList& kernels = *result->list;
  ASSERT_EQ(result->released.size(), 1);
  EXPECT_EQ(result->released[0],
            (MfnExtent{Mfn(kBase + 3072), PageCount(1024)}));
  EXPECT_EQ(kernels.Summary().ram, 3072);
}

// A hole whose frames move, followed by several mids of room to balloon.
MemorySetup PlanWithRoom(const Abi& abi) {
  static const auto* const kMap =
      new E820Map(MakeMap({Ram(0, 4 * kMiB), Reserved(4 * kMiB, 5 * kMiB),
                           Ram(5 * kMiB, 16384 * kMiB)}));
  auto setup = PlanMemorySetup({.abi = &abi,
                                .e820 = kMap,
                                .nr_pages = PageCount(300000),
                                .ceiling = PageCount(2000000),
                                .initial = true,
                                .area_limit = Pfn(0)});
  EXPECT_TRUE(setup.ok());
  return *std::move(setup);
}

TEST(GuestBootTest, PagesToBootIsEnoughAndOneLessIsNot) {
  for (const Abi* abi : {&kAbiX86_64, &kAbiX86_32Pae}) {
    const MemorySetup setup = PlanWithRoom(*abi);
    for (const ToolsView view : {ToolsView::kTree, ToolsView::kLinear}) {
      for (const BalloonRoom room :
           {BalloonRoom::kFaithful, BalloonRoom::kCompact}) {
        const P2mOptions options = {view, room};
        const PageCount pages(300000);
        const auto needed = PagesToBoot(*abi, pages, setup, Pfn(0), options);
        ASSERT_TRUE(needed.ok());
        for (const uint64_t short_by : {0, 1}) {
          PagesFrom source(2000, 2000 + needed->value() - short_by);
          auto list = BuiltList(*abi, pages.value(), kBase, source, options);
          EXPECT_EQ(BootGuest(kPermit, *std::move(list.built), setup, options,
                              Pfn(0), source)
                        .ok(),
                    short_by == 0)
              << abi->name << " " << static_cast<int>(view) << " "
              << static_cast<int>(room);
        }
      }
    }
  }
}

TEST(GuestBootTest, CompactRoomReadsTheSameForFewerPages) {
  for (const Abi* abi : {&kAbiX86_64, &kAbiX86_32Pae}) {
    const MemorySetup setup = PlanWithRoom(*abi);
    PagesFrom pages[] = {{2000, 100000}, {2000, 100000}};
    TestList lists[2];
    for (const int compact : {0, 1}) {
      const auto room =
          compact ? BalloonRoom::kCompact : BalloonRoom::kFaithful;
      lists[compact] = BuiltList(*abi, 300000, kBase, pages[compact],
                                 {.balloon_room = room});
      auto booted = BootGuest(kPermit, *std::move(lists[compact].built), setup,
                              lists[compact].options, Pfn(0), pages[compact]);
      ASSERT_TRUE(booted.ok());
      lists[compact].list = std::move(booted->list);
      ASSERT_TRUE(lists[compact]->CheckInvariants().ok());
    }
    ASSERT_EQ(lists[0]->p2m_size(), lists[1]->p2m_size());
    for (Pfn at(0); at < lists[0]->p2m_size();) {
      const auto run = [&](int i) {
        return lists[i]->RunAt(at, lists[i]->p2m_size(), P2mView::kResolved,
                               RunMerge::kByFrame);
      };
      ASSERT_EQ(run(0), run(1)) << at.value();
      at = run(0).pfns.end();
    }
    // Every whole leaf of the room is shared now.
    const P2mSummary faithful = lists[0]->Summary();
    const P2mSummary compact = lists[1]->Summary();
    EXPECT_EQ(faithful.missing_leaves, 0u);
    EXPECT_EQ(compact.private_leaves + compact.missing_leaves +
                  compact.identity_leaves,
              faithful.private_leaves + faithful.identity_leaves);
    EXPECT_GT(compact.missing_leaves, 1600000 / abi->leaf_span());
    EXPECT_LT(pages[1].next(), pages[0].next());
  }
}

}  // namespace
}  // namespace simvisor
