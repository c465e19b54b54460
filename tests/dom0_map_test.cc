#include "domain/guest/dom0_map.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e820_testing.h"

namespace simvisor {
namespace {

using testing::ElementsAre;

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

constexpr char kRamThere[] =
    "[    0.000000] Xen: [mem 0x0000000000000000-0x000000000009dfff] usable\n"
    "[    0.000000] Xen: [mem 0x000000000009ec00-0x00000000000fffff] "
    "reserved\n";
constexpr char kNoRamThere[] =
    "[    0.000000] Xen: [mem 0x0000000000000000-0x000000000007ffff] usable\n"
    "[    0.000000] Xen: [mem 0x0000000000080000-0x00000000000fffff] "
    "reserved\n";
constexpr char kFirmwareMap[] =
    "[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009dfff] "
    "usable\n";

TEST(ReservesIbftTest, LogOfADom0KernelSaysWhatThatKernelDid) {
  for (const char* words :
       {"[    0.000000] e820: BIOS-provided physical RAM map:\n",
        "[    0.000000] Linux version 3.8.0\n",
        "[    0.000000] Released 0 page(s)\n",
        "[    0.000000] Remapped 98 page(s)\n",
        "[    0.000000] Set 98 page(s) to 1-1 mapping\n"}) {
    EXPECT_FALSE(ReservesIbft(absl::StrCat(words, kRamThere))) << words;
    EXPECT_TRUE(ReservesIbft(absl::StrCat(words, kNoRamThere))) << words;
  }
}

TEST(ReservesIbftTest, FormOfOldKernelsIsOfAKernelWithoutTheSearch) {
  EXPECT_FALSE(
      ReservesIbft("[    0.000000]  Xen: 0000000000000000 - 000000000009d000 "
                   "(usable)\n"));
}

TEST(ReservesIbftTest, MapThatAKernelOfTodayMayStartFromIsChanged) {
  EXPECT_TRUE(ReservesIbft(kRamThere));
  EXPECT_TRUE(ReservesIbft("[mem 0x0-0x9dfff] usable\n"));
  EXPECT_TRUE(ReservesIbft(
      "(XEN) Xen-e820 RAM map:\n(XEN)  0000000000000000 - 000000000009a800 "
      "(usable)\n"));
  EXPECT_TRUE(ReservesIbft(""));
}

TEST(ReservesIbftTest, MapOfABootWithoutXenStandsAsItIs) {
  EXPECT_FALSE(ReservesIbft(kFirmwareMap));
}

TEST(ReservesIbftTest, Dom0sOwnMapBesideTheHypervisorsDecides) {
  const std::string hypervisor =
      "(XEN)  0000000000000000 - 000000000009a800 (usable)\n";
  const std::string header = "[    0.000000] BIOS-provided physical RAM map:\n";
  EXPECT_FALSE(ReservesIbft(absl::StrCat(hypervisor, header, kRamThere)));
  EXPECT_TRUE(ReservesIbft(absl::StrCat(hypervisor, header, kNoRamThere)));
}

TEST(ReservesIbftTest, LinesThatAreCutShortSayNothing) {
  for (const char* line :
       {"Linux version 6\nXen: [mem 0x", "Linux version 6\nXen: [mem 0x0-0x",
        "Linux version 6\nXen: [mem 0xzz-0xyy] usable"}) {
    EXPECT_TRUE(ReservesIbft(line)) << line;
  }
}

}  // namespace
}  // namespace simvisor
