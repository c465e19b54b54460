#include "domain/guest/memory_setup.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/e820_testing.h"
#include "tests/support/extents.h"

namespace simvisor {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint64_t kPage = kPageSize;

absl::StatusOr<MemorySetup> Plan(const E820Map& map, uint64_t pages,
                                 uint64_t ceiling = 0, bool initial = false,
                                 const Abi& abi = kAbiX86_64) {
  return PlanMemorySetup({.abi = &abi,
                          .e820 = &map,
                          .nr_pages = PageCount(pages),
                          .ceiling = PageCount(ceiling),
                          .initial = initial,
                          .area_limit = Pfn(0)});
}

TEST(MemorySetupTest, MapOfJustTheDomainHasOneIdentityRange) {
  const auto plan = Plan(E820Map::SingleRam(PageCount(5000)), 5000);
  ASSERT_THAT(plan, IsOk());
  EXPECT_THAT(plan->moves, IsEmpty());
  EXPECT_THAT(plan->extra, IsEmpty());
  EXPECT_THAT(plan->identity,
              ElementsAre(ExtentBetween(Pfn(5000), Pfn::None())));
  EXPECT_EQ(plan->area_end, Pfn(262144));
}

TEST(MemorySetupTest, FramesUnderHolesMoveBehindTheMemoryInOrder) {
  const E820Map map = MakeMap(
      {Ram(0, 100 * kPage), Ram(150 * kPage, 1000 * kPage),
       Reserved(1000 * kPage, 2000 * kPage), Ram(2000 * kPage, 9000 * kPage)});
  const auto plan = Plan(map, 2100);
  ASSERT_THAT(plan, IsOk());
  ASSERT_EQ(plan->moves.size(), 2);
  EXPECT_EQ(plan->moves[0].source, Pfns(100, 150));
  EXPECT_EQ(plan->moves[0].target, Pfn(2100));
  EXPECT_EQ(plan->moves[1].source, Pfns(1000, 2000));
  EXPECT_EQ(plan->moves[1].target, Pfn(2150));
  EXPECT_EQ(plan->moved_pages.value(), 1050);
  EXPECT_EQ(plan->note_pages.value(), 1 + 2);
  EXPECT_THAT(plan->extra, ElementsAre(Pfns(2100, 9000)));
  EXPECT_EQ(plan->extra_left.size().value(), 9000 - 3150);
}

TEST(MemorySetupTest, FramesWithoutRoomAreReleased) {
  const E820Map map =
      MakeMap({Ram(0, 1000 * kPage), Reserved(1000 * kPage, 2000 * kPage),
               Ram(2000 * kPage, 2400 * kPage)});
  const auto plan = Plan(map, 2100);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->moved_pages.value(), 300);
  EXPECT_THAT(plan->released, ElementsAre(Pfns(1300, 2000)));
  EXPECT_EQ(plan->released_pages.value(), 700);
}

TEST(MemorySetupTest, PartialPagesOfRamBelongToTheHole) {
  const E820Map map =
      MakeMap({Ram(0, 100 * kPage + 1), Ram(102 * kPage - 1, 500 * kPage)});
  const auto plan = Plan(map, 300);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->identity.front(), Pfns(100, 102));
}

TEST(MemorySetupTest, RoomIsAtMostTenTimesTheMemory) {
  const E820Map map = E820Map::SingleRam(PageCount(100000));
  const auto plan = Plan(map, 1000);
  ASSERT_THAT(plan, IsOk());
  EXPECT_THAT(plan->extra, ElementsAre(Pfns(1000, 11000)));
}

TEST(MemorySetupTest, OnlyTheInitialDomainIsHeldToItsCeiling) {
  const E820Map map = E820Map::SingleRam(PageCount(5000));
  EXPECT_THAT(Plan(map, 1000, 1500, true)->extra,
              ElementsAre(Pfns(1000, 1500)));
  EXPECT_THAT(Plan(map, 1000, 1500)->extra, ElementsAre(Pfns(1000, 5000)));
}

TEST(MemorySetupTest, CeilingBelowTheMemoryThatCannotHoldAMoveIsRefused) {
  const E820Map map =
      MakeMap({Ram(0, 1000 * kPage), Reserved(1000 * kPage, 2000 * kPage),
               Ram(2000 * kPage, 9000 * kPage)});
  EXPECT_THAT(
      Plan(map, 3000, 2500, true),
      IsError(absl::StatusCode::kFailedPrecondition, Reason::kE820RemapOverflow,
              testing::HasSubstr("raise the ceiling")));
}

TEST(MemorySetupTest, MapThatEndsBelowTheMemoryIsMalformed) {
  EXPECT_THAT(Plan(E820Map::SingleRam(PageCount(999)), 1000),
              IsMalformed("0x3e7"));
}

TEST(MemorySetupTest, LastRoomEndsTheListEvenBelowTheBuildersList) {
  const E820Map map = E820Map::SingleRam(PageCount(3437));
  EXPECT_EQ(Plan(map, 3437)->last_pfn, Pfn(3584));
  const auto plan = Plan(map, 3436);
  ASSERT_THAT(plan, IsOk());
  EXPECT_THAT(plan->extra, ElementsAre(Pfns(3436, 3437)));
  EXPECT_EQ(plan->last_pfn, Pfn(3437));
}

TEST(MemorySetupTest, RamWithoutAWholePageMovesTheListsEnd) {
  const E820Map map = MakeMap({Ram(0, 1000 * kPage),
                               Ram(300000 * kPage, 300000 * kPage + 0x800),
                               Reserved(300001 * kPage, 300002 * kPage)});
  const auto plan = Plan(map, 1000);
  ASSERT_THAT(plan, IsOk());
  EXPECT_THAT(plan->extra, ElementsAre(PfnExtent{Pfn(300000), PageCount(0)}));
  EXPECT_EQ(plan->last_pfn, Pfn(300000));
  EXPECT_EQ(plan->area_end, Pfn(2 * 262144));
  EXPECT_EQ(plan->extra_left.size(), PageCount(0));
  // The ceiling is used up before that: the kernel does not look at it.
  EXPECT_EQ(Plan(map, 1000, 1000, true)->last_pfn, Pfn(1024));
}

TEST(MemorySetupTest, RamInsideOnePageEndsTheListAtThatPage) {
  const E820Map map = MakeMap({Ram(0, 1000 * kPage),
                               Ram(5000 * kPage + 0x400, 5000 * kPage + 0x800),
                               Ram(5001 * kPage, 5003 * kPage)});
  EXPECT_EQ(Plan(MakeMap({map.entries()[0], map.entries()[1]}), 1000)->last_pfn,
            Pfn(5000));
  // It yields a page, so two more are assigned than the ceiling allows.
  const auto plan = Plan(map, 1000, 1001, true);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->extra_left.size(), PageCount(2));
}

TEST(MemorySetupTest, RoomThatBeginsInsideAPageLeavesAPageForTheNext) {
  const E820Map map =
      MakeMap({Ram(0, 1000 * kPage), Ram(5000 * kPage + 0x400, 6000 * kPage),
               Ram(7000 * kPage, 8000 * kPage)});
  const auto plan = Plan(map, 1000, 1010, true);
  ASSERT_THAT(plan, IsOk());
  EXPECT_THAT(plan->extra,
              ElementsAre(Pfns(5001, 5010), PfnExtent{Pfn(6000), PageCount(0)},
                          Pfns(7000, 7001)));
  EXPECT_EQ(plan->last_pfn, Pfn(7001));
}

TEST(MemorySetupTest, PageBetweenTwoHolesThatMeetInItMovesOnce) {
  const E820Map map = MakeMap({Ram(0, 100 * kPage),
                               Ram(150 * kPage + 0x400, 150 * kPage + 0x800),
                               Ram(200 * kPage, 900 * kPage)});
  const auto plan = Plan(map, 300);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->moved_pages, PageCount(100));
  ASSERT_EQ(plan->moves.size(), 2u);
  EXPECT_EQ(plan->moves[0].source, Pfns(100, 151));
  EXPECT_EQ(plan->moves[1].source, Pfns(151, 200));
}

TEST(MemorySetupTest, PartOfAPageAtTheMapsEndIsNotRam) {
  const E820Map map = MakeMap({Ram(0, 300 * kPage + 0x800)});
  EXPECT_THAT(Plan(map, 301), IsMalformed("ends at pfn 0x12c"));
  EXPECT_THAT(Plan(map, 300)->identity,
              ElementsAre(ExtentBetween(Pfn(300), Pfn::None())));
}

TEST(MemorySetupTest, NoCeilingLeavesThePageLimit) {
  const E820Map map = E820Map::SingleRam(PageCount(5000));
  const auto plan = Plan(map, 1000, kNoCeiling.value(), true);
  ASSERT_THAT(plan, IsOk());
  EXPECT_THAT(plan->extra, ElementsAre(Pfns(1000, 5000)));
}

// Room assigned one page at a time, in bytes and untyped numbers: the result of
// the kernel's loop over its map.
struct PlainRoom {
  std::set<uint64_t> pfns;
  std::optional<uint64_t> last;

  void Deal(uint64_t start, uint64_t end, int64_t& extra) {
    while (start < end && extra > 0) {
      const uint64_t bytes =
          std::min(end - start, static_cast<uint64_t>(extra) * kPage);
      const uint64_t first = (start + kPage - 1) / kPage;
      last = (start + bytes) / kPage;
      extra -= static_cast<int64_t>(*last) - static_cast<int64_t>(first);
      for (uint64_t pfn = first; pfn < *last; ++pfn) pfns.insert(pfn);
      start += bytes;
    }
  }
};

// A map whose entries begin and end anywhere in their pages, above `pages`.
E820Map RandomMap(std::mt19937_64& random, uint64_t pages) {
  std::vector<E820Entry> entries = {Ram(0, pages * kPage)};
  uint64_t at = pages * kPage;
  for (int i = 0; i < 12; ++i) {
    at += random() % 3 * (random() % 5000);
    const uint64_t size = 1 + random() % (random() % 2 == 0 ? 3000 : 90000);
    entries.push_back(random() % 3 == 0 ? Reserved(at, at + size)
                                        : Ram(at, at + size));
    at += size;
  }
  return MakeMap(std::move(entries));
}

TEST(MemorySetupTest, RandomMapsMatchAssigningOnePageAtATime) {
  constexpr uint64_t kMapPages = 600;
  std::mt19937_64 random(7);
  for (int round = 0; round < 20000; ++round) {
    const E820Map map = RandomMap(random, kMapPages);
    const uint64_t ceiling = kMapPages + random() % 120;
    const auto plan = Plan(map, kMapPages, ceiling, true);
    ASSERT_THAT(plan, IsOk()) << round;
    PlainRoom model;
    auto extra = static_cast<int64_t>(ceiling - kMapPages);
    for (const E820Entry& entry : map.entries()) {
      if (entry.type != E820Type::kRam) continue;
      model.Deal(std::max(entry.start, kMapPages * kPage), entry.end(), extra);
    }
    std::set<uint64_t> pfns;
    for (const PfnExtent& room : plan->extra) {
      for (Pfn pfn = room.first; pfn < room.end(); pfn += PageCount(1)) {
        pfns.insert(pfn.value());
      }
    }
    ASSERT_EQ(pfns, model.pfns) << round;
    ASSERT_EQ(plan->last_pfn.value(), model.last.value_or(1024)) << round;
    ASSERT_EQ(plan->extra_left.size().value(), pfns.size()) << round;
  }
}

TEST(MemorySetupTest, RealLogMovesTheFramesUnderItsSixHoles) {
  const auto plan = Plan(RealMap(), 0x1acb65, 0x1acb65, true);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->moved_pages.value(), 283999);
  EXPECT_EQ(plan->released_pages.value(), 0);
  EXPECT_EQ(plan->extra_left.size().value(), 0);
  EXPECT_EQ(plan->identity.size(), 7);
}

}  // namespace
}  // namespace simvisor
