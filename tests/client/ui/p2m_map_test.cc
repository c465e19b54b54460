#include "client/ui/p2m_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "tests/support/random_seed.h"

namespace simvisor::client {
namespace {

using ::testing::HasSubstr;

struct Stretch {
  uint64_t count;
  v1::P2mClass p2m_class;
};
constexpr v1::P2mClass kRam = v1::P2M_CLASS_RAM;
constexpr v1::P2mClass kIdentity = v1::P2M_CLASS_IDENTITY;
constexpr v1::P2mClass kForeign = v1::P2M_CLASS_FOREIGN;
constexpr v1::P2mClass kMissing = v1::P2M_CLASS_MISSING;

P2mMap MakeMap(int columns, int rows, const std::vector<Stretch>& runs) {
  P2mMap map(columns, rows);
  uint64_t at = 0;
  for (const Stretch& run : runs) {
    v1::P2mRun message;
    message.set_first_pfn(at);
    message.set_count(run.count);
    message.set_p2m_class(run.p2m_class);
    map.Add(message);
    at += run.count;
  }
  return map;
}

TEST(P2mMapTest, PictureOfABootedGuest) {
  // 8 cells in each of 4 rows.
  const P2mMap map = MakeMap(20, 12,
                             {{0xa0, kRam},
                              {0x60, kIdentity},
                              {0x1b00, kRam},
                              {1, kForeign},
                              {0x3ff, kMissing},
                              {0x2000, kIdentity}});
  EXPECT_EQ(
      RenderMap(map, "web", false),
      "web: 16384 pfns, 64 MiB; a cell is 512 (2 MiB)\n"
      "   0x0 rRRRRRRR\n"
      "0x1000 RRRRRRm.\n"
      "0x2000 IIIIIIII\n"
      "0x3000 IIIIIIII\n"
      "                  pfns        MiB   share stretches  largest\n"
      "R RAM             7072       27.6  43.16%         2  [0x100->0x1c00]\n"
      "I identity        8288       32.4  50.59%         2  [0x2000->0x4000]\n"
      "F foreign            1        0.0   0.01%         1  [0x1c00->0x1c01]\n"
      ". missing         1023        4.0   6.24%         1  [0x1c01->0x2000]\n"
      "Lower case: a cell of several classes, by the largest (m: missing).\n");
}

TEST(P2mMapTest, ColorsAreBlocksAndLettersMarkMixedCells) {
  const P2mMap map = MakeMap(20, 12, {{6, kRam}, {25, kMissing}, {33, kRam}});
  EXPECT_EQ(map.cell_pfns(), 2u);
  const std::string text = RenderMap(map, "web", true);
  EXPECT_THAT(text, HasSubstr(" 0x0 \033[30;42m   \033[97;100m     \033[0m\n"
                              "0x10 \033[97;100m       \033[30;42mr\033[0m\n"));
  EXPECT_THAT(text, HasSubstr("\n\033[30;42m \033[0m RAM "));
  EXPECT_THAT(text, HasSubstr("A letter: a cell of several classes"));
}

TEST(P2mMapTest, LastRowMayBeShortAndSmallListsHaveOnePfnPerCell) {
  EXPECT_THAT(
      RenderMap(MakeMap(20, 12, {{3, kRam}, {7, kMissing}}), "a", false),
      HasSubstr("a: 10 pfns, 10 pages; a cell is 1 (1 page)\n"
                "0x0 RRR.....\n"
                "0x8 ..\n"));
  EXPECT_EQ(RenderMap(MakeMap(80, 24, {}), "a", false),
            "a: 0 pfns, 0 MiB; a cell is 1 (1 page)\n");
}

TEST(P2mMapTest, FitsAnyScreenWhateverTheSize) {
  for (const uint64_t pfns :
       {uint64_t{1}, uint64_t{1000}, uint64_t{1} << 18, uint64_t{5} << 28,
        (uint64_t{1} << 34) - 1, uint64_t{1} << 34}) {
    for (const int columns : {20, 79, 80, 100, 200}) {
      SCOPED_TRACE(testing::Message() << pfns << " pfns, " << columns);
      const std::string text = RenderMap(MakeMap(columns, 24,
                                                 {{pfns / 4, kRam},
                                                  {1, kForeign},
                                                  {1, kIdentity},
                                                  {pfns, kMissing}}),
                                         "web", false);
      const std::vector<std::string> lines = absl::StrSplit(text, '\n');
      // The last line is empty; one row is left for the shell's prompt.
      EXPECT_LE(lines.size() - 1, 23u);
      for (const std::string& line : lines) {
        const size_t label = line.find_first_not_of(' ');
        if (label == std::string::npos || line.substr(label, 2) != "0x") {
          continue;
        }
        EXPECT_LE(line.size(), static_cast<size_t>(columns));
      }
    }
  }
}

TEST(P2mMapTest, RunsThatAreCutInTwoAreOneStretch) {
  const P2mMap map = MakeMap(
      80, 24, {{8, kRam}, {8, kRam}, {4, kMissing}, {20, kRam}, {1, kRam}});
  EXPECT_EQ(map.total(P2mMap::kRam).stretches, 2u);
  EXPECT_EQ(map.total(P2mMap::kRam).largest_first, 20u);
  EXPECT_EQ(map.total(P2mMap::kRam).largest_pfns, 21u);
}

TEST(P2mMapTest, EveryPfnIsOnlyInItsCell) {
  for (const uint64_t seed : TestSeeds(20)) {
    SCOPED_TRACE(testing::Message() << "SIMVISOR_SEED=" << seed);
    std::mt19937_64 random(seed);
    std::vector<Stretch> runs(1 + random() % 200);
    std::vector<P2mMap::Class> pfns;
    for (Stretch& run : runs) {
      const int c = static_cast<int>(random() % P2mMap::kClasses);
      run = {1 + random() % 300, static_cast<v1::P2mClass>(c + 1)};
      pfns.insert(pfns.end(), run.count, static_cast<P2mMap::Class>(c));
    }
    const P2mMap map = MakeMap(20 + random() % 60, 24, runs);
    std::vector<P2mMap::Counts> expected(map.cells());
    for (size_t pfn = 0; pfn < pfns.size(); ++pfn) {
      ++expected[pfn / map.cell_pfns()][pfns[pfn]];
    }
    ASSERT_EQ(map.pfns(), pfns.size());
    for (size_t i = 0; i < map.cells(); ++i) {
      ASSERT_EQ(map.cell(i), expected[i]) << i;
    }
  }
}

}  // namespace
}  // namespace simvisor::client
