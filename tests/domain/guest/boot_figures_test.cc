#include "domain/guest/boot_figures.h"

#include <cstdint>
#include <vector>

#include "domain/units/abi.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/e820_testing.h"
#include "tests/support/extents.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

BootFigures Figures(const E820Map& map, PageCount pages, PageCount ceiling) {
  auto figures = FiguresOfBoot({.abi = &kAbiX86_64,
                                .e820 = &map,
                                .nr_pages = pages,
                                .ceiling = ceiling,
                                .initial = true,
                                .area_limit = Pfn(0)});
  EXPECT_THAT(figures, IsOk());
  return *std::move(figures);
}

TEST(BootFiguresTest, RealLogsKernelMovesToOneArea) {
  const E820Map map = RealMap();
  const BootFigures figures = Figures(map, PageCount(0x1acb65), kNoCeiling);
  EXPECT_EQ(figures.setup.moved_pages, PageCount(283999));
  EXPECT_THAT(figures.remap_area, ElementsAre(Pfns(0x1acb65, 0x1f20c4)));
  EXPECT_EQ(figures.ram_end, Pfn(0x23fe00));
  EXPECT_EQ(figures.setup.last_pfn, Pfn(0x23fe00));
}

TEST(BootFiguresTest, KernelsMapKeepsInitialRamAndRoomInWholePages) {
  const E820Map map =
      MakeMap({Ram(0, 0x9a800), Reserved(0x9a800, 0xa0000),
               Ram(kMiB, 64 * kMiB + 0x800), Ram(80 * kMiB, 128 * kMiB),
               Reserved(0xfec00000, 0xfec01000)});
  const BootFigures figures =
      Figures(map, PageCount(32 * kPagesPerMiB), PageCount(33 * kPagesPerMiB));
  // 102 frames move; they and 1 MiB are room after the initial 32 MiB.
  EXPECT_EQ(figures.setup.moved_pages, PageCount(102));
  EXPECT_THAT(figures.remap_area, ElementsAre(Pfns(0x2000, 0x2066)));
  EXPECT_THAT(
      figures.map.entries(),
      ElementsAre(Ram(0, 0x9a000), Reserved(0x9a800, kMiB),
                  Ram(kMiB, 0x2166000), Reserved(0xfec00000, 0xfec01000)));
  EXPECT_EQ(figures.ram_end, Pfn(0x2166));
  EXPECT_EQ(figures.setup.last_pfn, Pfn(0x2166));
  EXPECT_EQ(figures.setup.area_end, Pfn(0x40000));
}

TEST(BootFiguresTest, IsaAreaIsReservedOutOfRamToo) {
  const E820Map map = E820Map::SingleRam(PageCount(64 * kPagesPerMiB));
  const BootFigures figures =
      Figures(map, PageCount(64 * kPagesPerMiB), PageCount(64 * kPagesPerMiB));
  EXPECT_THAT(figures.map.entries(),
              ElementsAre(Ram(0, 0xa0000), Reserved(0xa0000, kMiB),
                          Ram(kMiB, 64 * kMiB)));
}

TEST(BootFiguresTest, AcpisEntriesInTheIsaAreaStay) {
  const E820Entry data = {0xe8000, 0x8000, E820Type::kAcpi};
  const E820Entry nvs = {0x9f000, 0x2000, E820Type::kNvs};
  const E820Map map = MakeMap({Ram(0, 0x9f000), nvs, data,
                               Reserved(0xf0000, kMiB), Ram(kMiB, 64 * kMiB)});
  const BootFigures figures =
      Figures(map, PageCount(32 * kPagesPerMiB), kNoCeiling);
  EXPECT_THAT(figures.map.entries(),
              ElementsAre(Ram(0, 0x9f000), nvs, Reserved(0xa1000, 0xe8000),
                          data, Reserved(0xf0000, kMiB), Ram(kMiB, 64 * kMiB)));
}

TEST(BootFiguresTest, MapOf128EntriesGetsTheIsaAreaToo) {
  std::vector<E820Entry> entries;
  for (uint64_t i = 0; i < kMaxE820Entries; ++i) {
    entries.push_back(
        Ram(kMiB + 2 * i * kPageSize, kMiB + (2 * i + 1) * kPageSize));
  }
  const BootFigures figures =
      Figures(MakeMap(entries), PageCount(257), kNoCeiling);
  EXPECT_THAT(figures.map.entries(), SizeIs(kMaxE820Entries + 1));
}

TEST(BootFiguresTest, ErrorsOfThePlanPassThrough) {
  const E820Map map = E820Map::SingleRam(PageCount(100));
  EXPECT_THAT(FiguresOfBoot({.abi = &kAbiX86_64,
                             .e820 = &map,
                             .nr_pages = PageCount(200),
                             .ceiling = PageCount(200),
                             .initial = true,
                             .area_limit = Pfn(0)}),
              IsMalformed("ends at pfn 0x64"));
}

}  // namespace
}  // namespace simvisor
