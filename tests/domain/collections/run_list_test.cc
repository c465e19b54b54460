#include "domain/collections/run_list.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

using Fill = CompactWords::Fill;

constexpr uint64_t kSize = 200;

TEST(RunListTest, FreshListIsOneRun) {
  const RunList list(kSize, {7, true});
  EXPECT_EQ(list.runs(), 1);
  const CompactWords::Run run = list.RunAt(10, kSize);
  EXPECT_EQ(run.count, kSize - 10);
  EXPECT_EQ(run.fill, (Fill{17, true}));
}

TEST(RunListTest, SettingTheMiddleCutsTheRunInThree) {
  RunList list(kSize, {7, false});
  list.Set(50, 10, {100, true});
  EXPECT_EQ(list.runs(), 3);
  EXPECT_EQ(list.RunAt(55, kSize).count, 5);
  EXPECT_EQ(list.RunAt(55, kSize).fill, (Fill{105, true}));
  EXPECT_EQ(list.RunAt(60, kSize).fill, (Fill{7, false}));
}

TEST(RunListTest, RestoredCellsJoinAgain) {
  RunList list(kSize, {1000, true});
  list.Set(50, 10, {0, false});
  list.Set(55, 5, {1055, true});
  list.Set(50, 5, {1050, true});
  EXPECT_EQ(list.runs(), 1);
  EXPECT_EQ(list.RunAt(0, kSize).count, kSize);
}

TEST(RunListTest, SingleCellsJoinRunsOfEitherShape) {
  RunList list(kSize, {0, false});
  list.Set(0, 1, {5, false});
  list.Set(1, 1, {6, true});
  list.Set(2, 3, {7, true});
  EXPECT_EQ(list.RunAt(0, kSize).count, 5);
  list.Set(10, 1, {3, true});
  list.Set(11, 4, {3, false});
  EXPECT_EQ(list.RunAt(10, kSize).count, 5);
  EXPECT_EQ(list.RunAt(10, 11).fill, (Fill{3, false}));
}

TEST(RunListTest, RunsAreCutAtTheLimit) {
  const RunList list(kSize, {7, true});
  EXPECT_EQ(list.RunAt(10, 30).count, 20);
  EXPECT_EQ(list.RunAt(kSize - 1, kSize).fill, (Fill{7 + kSize - 1, false}));
}

// Runs that could be joined but are not would make lists longer than needed.
void ExpectJoined(const RunList& list, const std::vector<uint64_t>& cells) {
  size_t runs = 0;
  for (uint64_t at = 0; at < kSize; ++runs) {
    const CompactWords::Run run = list.RunAt(at, kSize);
    for (uint64_t i = 0; i < run.count; ++i) {
      ASSERT_EQ(cells[at + i], run.fill.At(i)) << "cell " << at + i;
    }
    at += run.count;
    if (run.count == 1 || at == kSize) continue;
    const CompactWords::Run next = list.RunAt(at, kSize);
    if (next.count > 1 && next.fill.counts_up != run.fill.counts_up) continue;
    ASSERT_NE(cells[at], run.fill.At(run.count)) << "cell " << at;
  }
  EXPECT_EQ(list.runs(), runs);
}

TEST(RunListTest, RandomCallsAgreeWithAPlainArray) {
  for (const uint64_t seed : TestSeeds(5)) {
    SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
    std::mt19937_64 random(seed);
    RunList list(kSize, {0, false});
    std::vector<uint64_t> cells(kSize);
    for (int step = 0; step < 5000; ++step) {
      const uint64_t first = random() % kSize;
      const uint64_t count =
          1 + random() % std::min<uint64_t>(kSize - first, 1 + random() % 40);
      Fill fill = {random() % 3, random() % 2 == 0};
      if (first > 0 && random() % 2 == 0) {
        fill.first = cells[first - 1] + random() % 2;
      }
      list.Set(first, count, fill);
      for (uint64_t i = 0; i < count; ++i) cells[first + i] = fill.At(i);
      ExpectJoined(list, cells);
      ASSERT_FALSE(testing::Test::HasFailure()) << "step " << step;
    }
  }
}

}  // namespace
}  // namespace simvisor
