#include "domain/frames/scatter_places.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace simvisor {
namespace {

TEST(ScatterPlacesTest, SeriesIsThatOfSplitmix64) {
  // The generator's published first values for seed 0, cut to 40 bits.
  constexpr Mfn kEnd(uint64_t{1} << 40);
  ScatterPlaces places({{Mfn(0), kEnd - Mfn(0)}}, 0);
  EXPECT_EQ(places.Next(Mfn(0), kEnd), Mfn(0x397b1dcdaf));
  EXPECT_EQ(places.Next(Mfn(0), kEnd), Mfn(0x6aa1b965f4));
  EXPECT_EQ(places.Next(Mfn(0), kEnd), Mfn(0x188009454f));
}

TEST(ScatterPlacesTest, PlacesAreInRamAndFillItEvenly) {
  const std::vector<MfnExtent> ram = {{Mfn(10), PageCount(30)},
                                      {Mfn(1000), PageCount(10)},
                                      {Mfn(5000), PageCount(60)}};
  ScatterPlaces places(ram, 7);
  std::vector<int> hits(ram.size());
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const Mfn place = places.Next(Mfn(0), Mfn(5060));
    const auto in = std::find_if(
        ram.begin(), ram.end(),
        [place](const MfnExtent& extent) { return extent.Contains(place); });
    ASSERT_NE(in, ram.end()) << place.value();
    ++hits[in - ram.begin()];
  }
  for (size_t i = 0; i < ram.size(); ++i) {
    EXPECT_NEAR(hits[i], kDraws / 100.0 * ram[i].count.value(), kDraws / 100)
        << "stretch " << i;
  }
}

TEST(ScatterPlacesTest, FirstAndLastFrameOfEachStretchAreDrawn) {
  ScatterPlaces places({{Mfn(1), PageCount(2)}, {Mfn(8), PageCount(1)}}, 1);
  std::vector<Mfn> drawn;
  for (int i = 0; i < 200; ++i) {
    drawn.push_back(places.Next(Mfn(0), Mfn(9)));
  }
  std::sort(drawn.begin(), drawn.end());
  drawn.erase(std::unique(drawn.begin(), drawn.end()), drawn.end());
  EXPECT_EQ(drawn, (std::vector<Mfn>{Mfn(1), Mfn(2), Mfn(8)}));
}

TEST(ScatterPlacesTest, PlacesStayInTheRangeAskedFor) {
  const std::vector<MfnExtent> ram = {{Mfn(10), PageCount(30)},
                                      {Mfn(1000), PageCount(10)},
                                      {Mfn(5000), PageCount(60)}};
  ScatterPlaces places(ram, 7);
  const auto drawn = [&places](uint64_t first, uint64_t end) {
    std::set<uint64_t> mfns;
    for (int i = 0; i < 1000; ++i) {
      mfns.insert(places.Next(Mfn(first), Mfn(end)).value());
    }
    return mfns;
  };
  EXPECT_THAT(drawn(0, 12), testing::ElementsAre(10, 11));
  EXPECT_THAT(drawn(38, 1001), testing::ElementsAre(38, 39, 1000));
  EXPECT_THAT(drawn(50, 1002), testing::ElementsAre(1000, 1001));
  EXPECT_THAT(drawn(5058, 9000), testing::ElementsAre(5058, 5059));
}

}  // namespace
}  // namespace simvisor
