#include "domain/frames/frame_cells.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/random_seed.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using Fill = FrameCells::Fill;

constexpr int kLeafShift = 9;
constexpr int kBlockShift = 12;
constexpr uint64_t kBlockCells = uint64_t{1} << kBlockShift;

FrameCells MakeCells(uint64_t size) {
  auto cells = FrameCells::Create(size, kLeafShift, kBlockShift, nullptr);
  EXPECT_THAT(cells, IsOk());
  return *std::move(cells);
}

// Sets cells one by one, each to a different value than the one before.
void SetSingly(FrameCells& cells, uint64_t first, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    cells.SetRange(first + 2 * i, 1, {1000 + 7 * i, false});
  }
}

TEST(FrameCellsTest, BlockThatIsCutInFewPlacesIsNotSplit) {
  FrameCells cells = MakeCells(2 * kBlockCells);
  cells.SetRange(kBlockCells - 100, 200, {5, true});
  EXPECT_FALSE(cells.IsSplit(0));
  EXPECT_FALSE(cells.IsSplit(1));
  EXPECT_EQ(cells.MaximalRunAt(0, 2 * kBlockCells).count, kBlockCells - 100);
  const FrameCells::Run run =
      cells.MaximalRunAt(kBlockCells - 100, 2 * kBlockCells);
  EXPECT_EQ(run.first, kBlockCells - 100);
  EXPECT_EQ(run.count, 200);
  EXPECT_EQ(run.fill, (Fill{5, true}));
}

TEST(FrameCellsTest, BlockThatIsCutInManyPlacesIsSplit) {
  FrameCells cells = MakeCells(2 * kBlockCells);
  SetSingly(cells, 0, FrameCells::kMaxRuns);
  EXPECT_TRUE(cells.IsSplit(0));
  EXPECT_FALSE(cells.IsSplit(1));
  for (size_t i = 0; i < FrameCells::kMaxRuns; ++i) {
    EXPECT_EQ(cells.RunAt(2 * i, 2 * i + 1).fill.first, 1000 + 7 * i);
    EXPECT_EQ(cells.RunAt(2 * i + 1, 2 * i + 2).fill.first, 0);
  }
}

TEST(FrameCellsTest, BlockSetAsAWholeIsOneRunAgain) {
  FrameCells cells = MakeCells(kBlockCells);
  SetSingly(cells, 0, FrameCells::kMaxRuns);
  cells.SetRange(0, kBlockCells, {0, false});
  EXPECT_FALSE(cells.IsSplit(0));
  EXPECT_EQ(cells.MaximalRunAt(0, kBlockCells).count, kBlockCells);
  // The stored cells are gone, and their values do not come back.
  SetSingly(cells, 1, FrameCells::kMaxRuns);
  EXPECT_TRUE(cells.IsSplit(0));
  EXPECT_EQ(cells.RunAt(0, 1).fill.first, 0);
  EXPECT_EQ(cells.RunAt(1, 2).fill.first, 1000);
}

TEST(FrameCellsTest, RandomCallsAgreeWithAPlainArray) {
  constexpr uint64_t kSize = 3 * kBlockCells;
  for (const uint64_t seed : TestSeeds(4)) {
    SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
    std::mt19937_64 random(seed);
    FrameCells cells = MakeCells(kSize);
    std::vector<uint64_t> model(kSize);
    for (int step = 0; step < 3000; ++step) {
      uint64_t first = random() % kSize;
      uint64_t count = 1 + random() % 5;
      if (random() % 4 == 0) count = 1 + random() % kBlockCells;
      if (random() % 40 == 0) {
        first -= first % kBlockCells;
        count = kBlockCells * (1 + random() % 2);
      }
      count = std::min(count, kSize - first);
      Fill fill = {random() % 3, random() % 2 == 0};
      if (first > 0 && random() % 2 == 0) fill.first = model[first - 1] + 1;
      cells.SetRange(first, count, fill);
      for (uint64_t i = 0; i < count; ++i) model[first + i] = fill.At(i);
      for (uint64_t at = 0; at < kSize;) {
        const FrameCells::Run run = cells.RunAt(at, kSize);
        for (uint64_t i = 0; i < run.count; ++i) {
          ASSERT_EQ(run.fill.At(i), model[at + i])
              << "step " << step << " cell " << at + i;
        }
        at += run.count;
      }
    }
  }
}

}  // namespace
}  // namespace simvisor
