#include "domain/e820/e820.h"

#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/e820_testing.h"
#include "tests/support/extents.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(E820MapTest, CreateSortsEntries) {
  const E820Map map = MakeMap({Reserved(kGiB, 2 * kGiB), Ram(0, kMiB)});
  EXPECT_THAT(map.entries(),
              ElementsAre(Ram(0, kMiB), Reserved(kGiB, 2 * kGiB)));
  EXPECT_EQ(map.EndPage(), Pfn(2 * kPagesPerGiB));
}

TEST(E820MapTest, CreateRefusesInvalidMaps) {
  EXPECT_THAT(E820Map::Create({}), IsMalformed("no entries"));
  EXPECT_THAT(E820Map::Create({Ram(0, kMiB), Reserved(kGiB, kGiB)}),
              IsMalformed("0x40000000 is empty"));
  EXPECT_THAT(E820Map::Create({Reserved(0, kMiB)}),
              IsMalformed("whole page of RAM"));
  EXPECT_THAT(E820Map::Create({Ram(0, kMiB), Reserved(kMiB - 1, 2 * kMiB)}),
              AllOf(IsMalformed("[mem 0xfffff-0x1fffff] reserved overlaps"),
                    IsMalformed("[mem 0x0-0xfffff] usable")));
}

TEST(E820MapTest, CreateRefusesMoreThan128Entries) {
  std::vector<E820Entry> entries;
  for (uint64_t i = 0; i < kMaxE820Entries; ++i) {
    entries.push_back(Ram(2 * i * kMiB, (2 * i + 1) * kMiB));
  }
  EXPECT_THAT(MakeMap(entries).entries(), SizeIs(kMaxE820Entries));
  entries.push_back(Ram(kGiB, 2 * kGiB));
  EXPECT_THAT(E820Map::Create(entries),
              IsMalformed("129 entries, at most 128"));
}

TEST(E820MapTest, EntriesEndAtTheWidthOfAnAddress) {
  EXPECT_THAT(E820Map::Create({Ram(0, kMaxE820Address)}), IsOk());
  EXPECT_THAT(E820Map::Create({Ram(0, kMaxE820Address + 1)}),
              IsMalformed("ends above 0x10000000000000"));
  EXPECT_THAT(E820Map::Create({{kMaxE820Address, 1, E820Type::kRam}}),
              IsMalformed("ends above"));
  // Start plus size is 0 modulo 2^64.
  EXPECT_THAT(E820Map::Create({{~uint64_t{0}, 1, E820Type::kRam}}),
              IsMalformed("ends above"));
  EXPECT_THAT(E820Map::Create({{kMiB, ~uint64_t{0}, E820Type::kRam}}),
              IsMalformed("ends above"));
}

TEST(E820MapTest, RamIsRoundedInwards) {
  const E820Map map = MakeMap({Ram(0x800, 0x3800), Reserved(0x3800, 0x4000),
                               Ram(0x4000, 0x4fff), Ram(0x5000, 0x6000)});
  EXPECT_THAT(map.RamPages(), ElementsAre(Pfns(1, 3), Pfns(5, 6)));
}

TEST(E820MapTest, TouchingEntriesOfOneTypeAreJoinedEvenInsideAPage) {
  const E820Map map =
      MakeMap({Ram(0, 0x1800), Ram(0x1800, 0x4000), Ram(0x4000, 0x8000),
               Reserved(0x8000, 0x9000), Reserved(0x9000, 0xa000)});
  EXPECT_THAT(map.entries(),
              ElementsAre(Ram(0, 0x8000), Reserved(0x8000, 0xa000)));
  EXPECT_THAT(map.RamPages(), ElementsAre(Pfns(0, 8)));
}

TEST(E820MapTest, RamSmallerThanAPageIsIgnored) {
  EXPECT_THAT(E820Map::Create({Ram(0x1001, 0x2fff)}),
              IsMalformed("whole page of RAM"));
  EXPECT_THAT(MakeMap({Ram(0x1001, 0x2fff), Ram(0x4000, 0x5000)}).RamPages(),
              ElementsAre(Pfns(4, 5)));
}

TEST(E820MapTest, EndPageIsRoundedUp) {
  EXPECT_EQ(MakeMap({Ram(0, 0x1001)}).EndPage(), Pfn(2));
  EXPECT_EQ(E820Map().EndPage(), Pfn(0));
}

TEST(ResolveOverlapsTest, HighestTypeCountsAndGapsStay) {
  EXPECT_THAT(ResolveOverlaps({}), testing::IsEmpty());
  EXPECT_THAT(
      ResolveOverlaps({Ram(0x4000, 0x9000), Reserved(0x6000, 0x7800),
                       Unusable(0x7000, 0x8000), Ram(0, 0x2000),
                       Ram(0x1000, 0x3000), Reserved(0x1000, 0x1000)}),
      ElementsAre(Ram(0, 0x3000), Ram(0x4000, 0x6000), Reserved(0x6000, 0x7000),
                  Unusable(0x7000, 0x8000), Ram(0x8000, 0x9000)));
}

TEST(E820MapTest, SingleRamHoldsAsManyPages) {
  const E820Map map = E820Map::SingleRam(PageCount(513));
  EXPECT_THAT(map.entries(), ElementsAre(Ram(0, 513 * kPageSize)));
  EXPECT_THAT(map.RamPages(), ElementsAre(Pfns(0, 513)));
  EXPECT_EQ(E820Map::SingleRam(PageCount(0)), E820Map());
}

TEST(DefaultHostE820Test, SmallHostHasItsRamBelowTheFirmware) {
  const auto map = DefaultHostE820(PageCount(16 * kPagesPerMiB));
  ASSERT_THAT(map, IsOk());
  EXPECT_THAT(map->entries(),
              ElementsAre(Ram(0, 0x9f000), Ram(kMiB, 17 * kMiB - 0x9f000),
                          Reserved(3 * kGiB, 4 * kGiB)));
}

TEST(DefaultHostE820Test, LargeHostHasTheRestFrom4GiBOn) {
  const auto map = DefaultHostE820(GiBs(64));
  ASSERT_THAT(map, IsOk());
  EXPECT_THAT(Holes(*map),
              ElementsAre(Pfns(0x9f, 0x100), Pfns(0xc0000, 0x100000)));
  PageCount ram;
  for (const PfnExtent& extent : map->RamPages()) ram += extent.count;
  EXPECT_EQ(ram, GiBs(64));
  EXPECT_EQ(map->EndPage(), Pfn(0) + GiBs(65) + PageCount(97));
}

TEST(DefaultHostE820Test, RamThatJustFillsTheLowPartHasNoHighEntry) {
  const PageCount low(3 * kPagesPerGiB - 97);
  const auto exact = DefaultHostE820(low);
  ASSERT_THAT(exact, IsOk());
  EXPECT_EQ(exact->RamPages().back().end(), Pfn(0xc0000));
  const auto one_more = DefaultHostE820(low + PageCount(1));
  ASSERT_THAT(one_more, IsOk());
  EXPECT_EQ(one_more->RamPages().back(), Pfns(0x100000, 0x100001));
}

TEST(DefaultHostE820Test, SizesOutOfBoundsAreRefused) {
  const auto refused = [](const std::string& part) {
    return IsError(absl::StatusCode::kInvalidArgument,
                   Reason::kMemorySizeInvalid, HasSubstr(part));
  };
  EXPECT_THAT(DefaultHostE820(PageCount(0)), refused("0 pages"));
  EXPECT_THAT(DefaultHostE820(PageCount(4095)), refused("4095 pages"));
  EXPECT_THAT(DefaultHostE820(GiBs(64 * 1024)), IsOk());
  EXPECT_THAT(DefaultHostE820(GiBs(64 * 1024) + PageCount(1)),
              refused("17179869184 pages (64 TiB)"));
  EXPECT_THAT(DefaultHostE820(PageCount(~uint64_t{0})), refused("64 TiB"));
}

}  // namespace
}  // namespace simvisor
