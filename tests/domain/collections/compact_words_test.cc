#include "domain/collections/compact_words.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <numeric>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/random_seed.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using Fill = CompactWords::Fill;

constexpr int kLeafShift = 4;
constexpr int kBlockShift = 7;
constexpr uint64_t kLeaf = uint64_t{1} << kLeafShift;
constexpr uint64_t kBlock = uint64_t{1} << kBlockShift;
constexpr uint64_t kTag = uint64_t{1} << 58;

CompactWords MakeWords(uint64_t size) {
  auto words = CompactWords::Create(size, kLeafShift, kBlockShift);
  EXPECT_THAT(words, IsOk());
  return *std::move(words);
}

TEST(CompactWordsTest, FreshCellsAreZeroAndNoLeafIsStored) {
  const CompactWords words = MakeWords(3 * kBlock - 5);
  EXPECT_EQ(words.capacity(), 3 * kBlock);
  for (uint64_t i = 0; i < words.capacity(); ++i) EXPECT_EQ(words.Get(i), 0);
  EXPECT_EQ(words.stored_leaves(), 0);
}

TEST(CompactWordsTest, WholeBlocksAndLeavesTakeNoStorage) {
  CompactWords words = MakeWords(2 * kBlock);
  words.SetRange(0, kBlock, {100, true});
  words.SetRange(kBlock + kLeaf, kLeaf, {7, false});
  EXPECT_EQ(words.stored_leaves(), 0);
  EXPECT_EQ(words.Get(kBlock - 1), 100 + kBlock - 1);
  EXPECT_EQ(words.Get(kBlock + kLeaf - 1), 0);
  EXPECT_EQ(words.Get(kBlock + kLeaf), 7);
  EXPECT_EQ(words.Get(kBlock + 2 * kLeaf), 0);
}

TEST(CompactWordsTest, OneOddCellStoresOnlyItsLeaf) {
  CompactWords words = MakeWords(kBlock);
  words.SetRange(0, kBlock, {100, true});
  words.Set(20, 5);
  EXPECT_EQ(words.stored_leaves(), 1);
  for (uint64_t i = 0; i < kBlock; ++i) {
    EXPECT_EQ(words.Get(i), i == 20 ? 5 : 100 + i);
  }
}

TEST(CompactWordsTest, SettingTheSameValueStoresNothing) {
  CompactWords words = MakeWords(kBlock);
  words.SetRange(0, kBlock, {100, true});
  words.Set(20, 120);
  words.SetRange(3, 30, {103, true});
  EXPECT_EQ(words.stored_leaves(), 0);
}

TEST(CompactWordsTest, LeafThatBecomesUniformBitByBitIsFolded) {
  CompactWords words = MakeWords(kBlock);
  words.SetRange(kLeaf, kLeaf / 2, {40, true});
  EXPECT_EQ(words.stored_leaves(), 1);
  words.SetRange(kLeaf + kLeaf / 2, kLeaf / 2, {40 + kLeaf / 2, true});
  EXPECT_EQ(words.stored_leaves(), 0);
  for (uint64_t i = 0; i < kLeaf; ++i) EXPECT_EQ(words.Get(kLeaf + i), 40 + i);
}

TEST(CompactWordsTest, WholeBlockDropsTheStoredLeavesUnderIt) {
  CompactWords words = MakeWords(2 * kBlock);
  for (uint64_t i = 0; i < 2 * kBlock; i += kLeaf) words.Set(i, 9);
  EXPECT_EQ(words.stored_leaves(), 2 * kBlock / kLeaf);
  words.SetRange(0, kBlock, {0, false});
  EXPECT_EQ(words.stored_leaves(), kBlock / kLeaf);
  words.SetRange(kBlock + kLeaf, kLeaf, {3, false});
  EXPECT_EQ(words.stored_leaves(), kBlock / kLeaf - 1);
}

TEST(CompactWordsTest, CellsThatLookLikeTagsAreStoredAsTheyAre) {
  for (const uint64_t first : {kTag, kTag | 5, 2 * kTag, kTag - 3, 2 * kTag - 3,
                               4 * kTag - 3, ~uint64_t{0} - 3, ~uint64_t{0}}) {
    for (const bool counts_up : {false, true}) {
      CompactWords words = MakeWords(2 * kBlock);
      const Fill fill = {first, counts_up};
      words.SetRange(0, kBlock, fill);
      words.SetRange(kBlock + kLeaf, 2 * kLeaf, fill);
      for (uint64_t i = 0; i < kBlock; ++i) {
        ASSERT_EQ(words.Get(i), fill.At(i)) << first << " cell " << i;
      }
      for (uint64_t i = 0; i < 2 * kLeaf; ++i) {
        ASSERT_EQ(words.Get(kBlock + kLeaf + i), fill.At(i)) << first;
      }
    }
  }
}

TEST(CompactWordsTest, RunsAreCutAtTheLimit) {
  CompactWords words = MakeWords(kBlock);
  words.SetRange(0, kBlock, {100, true});
  const CompactWords::Run run = words.RunAt(10, 30);
  EXPECT_EQ(run.count, 20);
  EXPECT_EQ(run.fill, (Fill{110, true}));
  EXPECT_EQ(words.RunAt(10, 11).fill, (Fill{110, false}));
}

TEST(CompactWordsTest, RunsGoOnThroughTheLeavesOfABlock) {
  for (const bool counts_up : {false, true}) {
    CompactWords words = MakeWords(2 * kBlock);
    words.SetRange(0, 2 * kBlock, {100, counts_up});
    words.Set(3, 5);
    words.Set(5 * kLeaf + 1, 5);
    const Fill from_20 = {counts_up ? 120u : 100u, counts_up};
    const CompactWords::Run stopped = words.RunAt(20, 2 * kBlock);
    EXPECT_EQ(stopped.count, 5 * kLeaf - 20);
    EXPECT_EQ(stopped.fill, from_20);
    EXPECT_EQ(words.RunAt(20, 3 * kLeaf + 2).count, 3 * kLeaf + 2 - 20);
    EXPECT_EQ(words.RunAt(6 * kLeaf, 2 * kBlock).count, kBlock - 6 * kLeaf);
  }
}

TEST(CompactWordsTest, RunThatWouldReachTheTagEndsBeforeStoredCells) {
  CompactWords words = MakeWords(kBlock);
  words.SetRange(kLeaf, kLeaf, {kTag - kLeaf, true});
  words.Set(2 * kLeaf + 5, 1);
  ASSERT_EQ(words.stored_leaves(), 1);
  const CompactWords::Run run = words.RunAt(kLeaf, kBlock);
  EXPECT_EQ(run.count, kLeaf);
  EXPECT_EQ(run.fill, (Fill{kTag - kLeaf, true}));
}

TEST(CompactWordsTest, MaximalRunsCrossLeavesAndBlocks) {
  CompactWords words = MakeWords(4 * kBlock);
  words.SetRange(5, 3 * kBlock, {1000, true});
  const CompactWords::Run run = words.MaximalRunAt(5, 4 * kBlock);
  EXPECT_EQ(run.count, 3 * kBlock);
  EXPECT_EQ(run.fill, (Fill{1000, true}));
}

TEST(CompactWordsTest, CellsThatMakeARunTakeNoStorage) {
  CompactWords words = MakeWords(kBlock);
  std::vector<uint64_t> cells(kBlock);
  for (uint64_t i = 0; i < kBlock; ++i) cells[i] = 50 + i;
  words.SetCells(0, cells);
  EXPECT_EQ(words.stored_leaves(), 0);
  cells[kLeaf + 3] = 1;
  words.SetCells(0, cells);
  EXPECT_EQ(words.stored_leaves(), 1);
  for (uint64_t i = 0; i < kBlock; ++i) EXPECT_EQ(words.Get(i), cells[i]);
}

TEST(CompactWordsTest, DiscardedBlockCanBeUsedAgain) {
  // Blocks of whole pages, so that there is something to discard.
  auto words = CompactWords::Create(uint64_t{1} << 19, 9, 18);
  ASSERT_THAT(words, IsOk());
  for (uint64_t i = 0; i < words->block_size(); i += 2) words->Set(i, 9);
  words->SetRange(0, words->block_size(), {3, false});
  words->Discard(0);
  for (uint64_t i = 0; i < 1024; ++i) EXPECT_EQ(words->Get(i), 3);
  words->Set(700, 4);
  EXPECT_EQ(words->stored_leaves(), 1);
  EXPECT_EQ(words->Get(699), 3);
  EXPECT_EQ(words->Get(700), 4);
}

TEST(CompactWordsTest, CellsOfManyBlocksAreIndependent) {
  constexpr uint64_t kSize = uint64_t{1} << 30;
  auto words = CompactWords::Create(kSize, 9, 18);
  ASSERT_THAT(words, IsOk());
  const uint64_t blocks = kSize >> 18;
  for (uint64_t block = 0; block < blocks; block += 7) {
    words->SetRange(block << 18, words->block_size(), {block + 1, true});
    words->Set((block << 18) + 5, 3);
  }
  for (uint64_t block = 0; block < blocks; ++block) {
    const uint64_t first = block << 18;
    const bool set = block % 7 == 0;
    ASSERT_EQ(words->Get(first + 4), set ? block + 5 : 0) << block;
    ASSERT_EQ(words->Get(first + 5), set ? 3 : 0) << block;
    ASSERT_EQ(words->Get(first + 1000), set ? block + 1001 : 0) << block;
  }
  EXPECT_EQ(words->stored_leaves(), (blocks + 6) / 7);
}

TEST(CompactWordsTest, AddressSpaceThatIsRefusedIsAnError) {
  EXPECT_THAT(CompactWords::Create(~uint64_t{0}, 9, 18),
              IsError(absl::StatusCode::kResourceExhausted,
                      Reason::kHostAddressSpaceExhausted,
                      testing::HasSubstr("no process has as much")));
  EXPECT_THAT(CompactWords::Create(uint64_t{1} << 50, 9, 18),
              IsError(absl::StatusCode::kResourceExhausted,
                      Reason::kHostAddressSpaceExhausted,
                      testing::HasSubstr("address space")));
}

// The longest run from `first` on whose cells are equal or count up.
CompactWords::Run RunIn(const std::vector<uint64_t>& cells, uint64_t first,
                        uint64_t limit) {
  CompactWords::Run run = {first, 1, {cells[first], false}};
  if (first + 1 < limit && cells[first + 1] == cells[first] + 1) {
    run.fill.counts_up = true;
  }
  while (first + run.count < limit &&
         cells[first + run.count] == run.fill.At(run.count)) {
    ++run.count;
  }
  return run;
}

void CheckRuns(const CompactWords& words, const std::vector<uint64_t>& cells) {
  uint64_t seen = 0;
  words.ForEachRun(0, cells.size(), [&](const CompactWords::Run& run) {
    EXPECT_EQ(run.first, seen);
    // A visitor may consume less than it is shown.
    const uint64_t taken = run.count > 2 ? run.count - 1 : run.count;
    for (uint64_t i = 0; i < taken; ++i) {
      EXPECT_EQ(run.fill.At(i), cells[seen + i]) << "cell " << seen + i;
    }
    seen += taken;
    return taken;
  });
  ASSERT_EQ(seen, cells.size());
  for (uint64_t at = 0; at < cells.size();) {
    const CompactWords::Run run = words.RunAt(at, cells.size());
    ASSERT_EQ(run.first, at);
    ASSERT_GT(run.count, 0);
    for (uint64_t i = 0; i < run.count; ++i) {
      ASSERT_EQ(run.fill.At(i), cells[at + i]) << at + i;
    }
    at += run.count;
  }
  for (uint64_t at = 0; at < cells.size();) {
    const CompactWords::Run run = words.MaximalRunAt(at, cells.size());
    const CompactWords::Run expected = RunIn(cells, at, cells.size());
    ASSERT_EQ(run.count, expected.count) << "from " << at;
    ASSERT_EQ(run.fill, expected.fill) << "from " << at;
    at += run.count;
  }
}

TEST(CompactWordsTest, RandomCallsAgreeWithAPlainArray) {
  for (const uint64_t seed : TestSeeds(5)) {
    SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
    std::mt19937_64 random(seed);
    CompactWords words = MakeWords(6 * kBlock);
    std::vector<uint64_t> cells(6 * kBlock);
    for (int step = 0; step < 3000; ++step) {
      const uint64_t first = random() % cells.size();
      uint64_t begin = first;
      uint64_t count = random() % (random() % 4 == 0 ? 3 * kBlock : kLeaf + 3);
      if (random() % 3 == 0) begin -= begin % kLeaf;
      if (random() % 3 == 0) count = (1 + random() % 9) * kLeaf;
      count = std::min<uint64_t>(count, cells.size() - begin);
      Fill fill = {random() % 3, random() % 2 == 0};
      // Often continues the cell before, so that runs join.
      if (begin > 0 && random() % 2 == 0) fill.first = cells[begin - 1] + 1;
      if (random() % 10 == 0) fill.first = (random() % 16) * kTag - 3;
      if (random() % 4 == 0) {
        words.Set(first, fill.first);
        cells[first] = fill.first;
      } else if (random() % 3 == 0) {
        for (uint64_t i = 0; i < count; ++i) {
          cells[begin + i] = random() % 9 == 0 ? random() % 3 : fill.At(i);
        }
        words.SetCells(begin, {cells.data() + begin, count});
      } else {
        words.SetRange(begin, count, fill);
        for (uint64_t i = 0; i < count; ++i) cells[begin + i] = fill.At(i);
      }
      for (uint64_t i = 0; i < cells.size(); ++i) {
        ASSERT_EQ(words.Get(i), cells[i]) << "step " << step << " cell " << i;
      }
      CheckRuns(words, cells);
      ASSERT_FALSE(testing::Test::HasFatalFailure()) << "step " << step;
    }
    words.SetRange(0, cells.size(), {1, false});
    EXPECT_EQ(words.stored_leaves(), 0);
  }
}

// Every value written carries its cell and a version that never goes back, in
// shapes that store, fold, split and join.  A reader knows which version is
// complete when it starts and which has begun when it ends: what it reads must
// be of this cell, and of a version in between.
//
// A cell is (version << 20) + index, so that a whole range of one version
// counts up, and the versions of two neighbours differ when only one was
// written.
TEST(CompactWordsTest, ReadersSeeOnlyValuesThatACellHeldMeanwhile) {
  constexpr uint64_t kCells = 4 * kBlock;
  constexpr int kVersions = 4000;
  CompactWords words = MakeWords(kCells);
  std::vector<std::atomic<uint64_t>> begun(kCells), complete(kCells);
  words.SetRange(0, kCells, {uint64_t{1} << 20, true});
  for (auto& version : begun) version = 1;
  for (auto& version : complete) version = 1;
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> wrong = 0;

  const auto read = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    while (!stop.load(std::memory_order_relaxed)) {
      const uint64_t i = random() % kCells;
      const uint64_t oldest = complete[i].load();
      const uint64_t cell = words.Get(i);
      const uint64_t newest = begun[i].load();
      const uint64_t version = cell >> 20;
      if ((cell & 0xfffff) != i || version < oldest || version > newest) {
        wrong.fetch_add(1);
      }
    }
  };
  std::thread first_reader(read, 1), second_reader(read, 2);

  std::mt19937_64 random(3);
  for (uint64_t version = 2; version < kVersions; ++version) {
    uint64_t begin = random() % kCells;
    uint64_t count = 1 + random() % (2 * kLeaf);
    if (version % 3 == 0) begin -= begin % kLeaf;
    if (version % 5 == 0) {
      begin -= begin % kBlock;
      count = kBlock;
    }
    if (version % 11 == 0) {
      // Every leaf of a block stores its cells, until the next one is folded.
      begin -= begin % kBlock;
      for (uint64_t i = begin + 3; i < begin + kBlock; i += kLeaf) {
        begun[i] = version;
        words.Set(i, (version << 20) + i);
        complete[i] = version;
      }
      continue;
    }
    count = std::min(count, kCells - begin);
    for (uint64_t i = begin; i < begin + count; ++i) begun[i] = version;
    if (count == 1) {
      words.Set(begin, (version << 20) + begin);
    } else if (version % 7 == 0) {
      std::vector<uint64_t> cells(count);
      std::iota(cells.begin(), cells.end(), (version << 20) + begin);
      words.SetCells(begin, cells);
    } else {
      words.SetRange(begin, count, {(version << 20) + begin, true});
    }
    for (uint64_t i = begin; i < begin + count; ++i) complete[i] = version;
  }
  stop = true;
  first_reader.join();
  second_reader.join();
  EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace simvisor
