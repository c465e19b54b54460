#include "domain/frames/free_bits.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

constexpr uint64_t kSize = FreeBits::kSize;

TEST(FreeBitsTest, FreshBitsAreAllFreeOrAllTaken) {
  const FreeBits all(true);
  EXPECT_EQ(all.NextFree(5), 5u);
  EXPECT_EQ(all.NextTaken(0, kSize), kSize);
  const FreeBits none(false);
  EXPECT_EQ(none.NextFree(0), kSize);
  EXPECT_EQ(none.NextTaken(kSize - 1, kSize), kSize - 1);
}

TEST(FreeBitsTest, SearchFromTheEndFindsNothing) {
  EXPECT_EQ(FreeBits(true).NextFree(kSize), kSize);
  EXPECT_EQ(FreeBits(false).NextTaken(kSize, kSize), kSize);
}

TEST(FreeBitsTest, OneBitIsFoundFromAnywhereBelow) {
  for (uint64_t bit : {uint64_t{0}, uint64_t{63}, uint64_t{64}, uint64_t{4095},
                       uint64_t{4096}, kSize - 1}) {
    FreeBits some(false);
    some.Set(bit, 1);
    FreeBits others(true);
    others.Clear(bit, 1);
    for (uint64_t from : {uint64_t{0}, bit / 2, bit - bit % 64, bit}) {
      EXPECT_EQ(some.NextFree(from), bit) << from;
      EXPECT_EQ(others.NextTaken(from, kSize), bit) << from;
      EXPECT_EQ(others.NextTaken(from, bit), bit) << from;
    }
    EXPECT_EQ(some.NextFree(bit + 1), kSize);
    EXPECT_EQ(others.NextTaken(bit + 1, kSize), kSize);
  }
}

TEST(FreeBitsTest, EmptyRangesChangeNothing) {
  FreeBits bits(false);
  bits.Set(kSize, 0);
  bits.Set(64, 0);
  EXPECT_EQ(bits.NextFree(0), kSize);
}

TEST(FreeBitsTest, RandomRangesMatchAVector) {
  for (uint64_t seed : TestSeeds(4)) {
    SCOPED_TRACE(testing::Message() << "SIMVISOR_SEED=" << seed);
    std::mt19937_64 random(seed);
    std::vector<bool> model(kSize, seed % 2 == 0);
    FreeBits bits(seed % 2 == 0);
    for (int step = 0; step < 500; ++step) {
      const uint64_t first = random() % kSize;
      const uint64_t count =
          std::min(random() % (uint64_t{1} << random() % 19), kSize - first);
      const bool free = random() % 2 == 0;
      if (free) {
        bits.Set(first, count);
      } else {
        bits.Clear(first, count);
      }
      std::fill_n(model.begin() + first, count, free);
      const uint64_t from = random() % kSize;
      const auto next = [&model, from](bool value) -> uint64_t {
        return std::find(model.begin() + from, model.end(), value) -
               model.begin();
      };
      ASSERT_EQ(bits.NextFree(from), next(true)) << "step " << step;
      const uint64_t end = from + random() % (kSize - from + 1);
      ASSERT_EQ(bits.NextTaken(from, end), std::min(next(false), end))
          << "step " << step;
    }
  }
}

}  // namespace
}  // namespace simvisor
