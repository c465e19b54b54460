#include "domain/boot_log/dom0_map.h"

#include <cstdint>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/e820_testing.h"

namespace simvisor {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

TEST(Dom0MapTest, UnusableEntriesAreRamAndJoinTheirNeighbours) {
  const auto map =
      Dom0Map(MakeMap({Ram(0, 0x1800), Unusable(0x1800, 0x4000),
                       Reserved(0x4000, 0x5000), Unusable(0x5000, 0x6000)}),
              false);
  ASSERT_THAT(map, IsOk());
  EXPECT_THAT(map->entries(),
              ElementsAre(Ram(0, 0x4000), Reserved(0x4000, 0x5000),
                          Ram(0x5000, 0x6000)));
}

TEST(Dom0MapTest, IbftAreaIsReservedWhereItIsRamOrAGap) {
  const E820Entry nvs = {0xf0000, 0x8000, E820Type::kNvs};
  const E820Map machine = MakeMap({Ram(0, 0x9f000), nvs, Ram(kMiB, 16 * kMiB)});
  const auto map = Dom0Map(machine, true);
  ASSERT_THAT(map, IsOk());
  EXPECT_THAT(map->entries(),
              ElementsAre(Ram(0, 0x80000), Reserved(0x80000, 0xf0000), nvs,
                          Reserved(0xf8000, kMiB), Ram(kMiB, 16 * kMiB)));
  EXPECT_EQ(*Dom0Map(machine, false), machine);
}

TEST(Dom0MapTest, IbftAreaThatTakesTheLastRamIsMalformed) {
  EXPECT_THAT(Dom0Map(MakeMap({Ram(0x90000, 0xa0000)}), true),
              IsMalformed("whole page of RAM"));
}

TEST(Dom0MapTest, EntryOfTheIbftAreaFitsBeside128OfAMachine) {
  std::vector<E820Entry> entries;
  for (uint64_t i = 0; i < kMaxE820Entries; ++i) {
    entries.push_back(
        Ram(kMiB + 2 * i * kPageSize, kMiB + (2 * i + 1) * kPageSize));
  }
  const auto map = Dom0Map(MakeMap(entries), true);
  ASSERT_THAT(map, IsOk());
  EXPECT_THAT(map->entries(), SizeIs(kMaxE820Entries + 1));
}

}  // namespace
}  // namespace simvisor
