#include "domain/collections/extent_set.h"

#include <cstdint>
#include <iterator>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/extents.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

TEST(ExtentSetTest, NeighboursJoinAndHolesSplit) {
  PfnSet set;
  set.Add(Pfns(10, 20));
  set.Add(Pfns(30, 40));
  EXPECT_EQ(set.extents().size(), 2);
  set.Add(Pfns(20, 30));
  EXPECT_EQ(set.extents().size(), 1);
  set.Remove(Pfns(15, 16));
  EXPECT_EQ(set.extents().size(), 2);
  EXPECT_EQ(set.size().value(), 29);
  EXPECT_FALSE(set.Contains(Pfn(15)));
  EXPECT_TRUE(set.Contains(Pfn(16)));
}

TEST(ExtentSetTest, NumbersAddedTwiceCountOnce) {
  PfnSet set;
  set.Add(Pfns(10, 20));
  set.Add(Pfns(5, 25));
  set.Add(Pfns(12, 14));
  EXPECT_EQ(set.size().value(), 20);
  EXPECT_EQ(set.extents().size(), 1);
}

TEST(ExtentSetTest, EmptyExtentsChangeNothing) {
  PfnSet set;
  set.Add(Pfns(10, 10));
  EXPECT_TRUE(set.empty());
  set.Add(Pfns(10, 20));
  set.Remove(Pfns(15, 15));
  EXPECT_EQ(set.extents().size(), 1);
  EXPECT_EQ(set.CountIn(Pfns(12, 12)).value(), 0);
}

TEST(ExtentSetTest, NothingIsTakenFromAnEmptySet) {
  PfnSet set;
  EXPECT_TRUE(set.TakeLowest(PageCount(5)).empty());
  EXPECT_TRUE(set.TakeHighest(PageCount(5)).empty());
}

TEST(ExtentSetTest, BothEndsGiveConsecutiveNumbers) {
  PfnSet set;
  set.Add(Pfns(10, 13));
  set.Add(Pfns(20, 25));
  EXPECT_EQ(set.TakeLowest(PageCount(5)), Pfns(10, 13));
  EXPECT_EQ(set.TakeHighest(PageCount(2)), Pfns(23, 25));
  EXPECT_EQ(set.TakeLowest(PageCount(2)), Pfns(20, 22));
  EXPECT_EQ(set.size().value(), 1);
}

TEST(ExtentSetTest, LastNumbersOfTheSpaceCanBeHeld) {
  PfnSet set;
  set.Add(Pfns(~uint64_t{0} - 5, ~uint64_t{0}));
  EXPECT_TRUE(set.Contains(Pfn(~uint64_t{0} - 1)));
  EXPECT_FALSE(set.Contains(Pfn::None()));
  EXPECT_EQ(set.size().value(), 5);
}

TEST(ExtentSetTest, RandomCallsAgreeWithASetOfNumbers) {
  for (const uint64_t seed : TestSeeds(4)) {
    SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
    std::mt19937_64 random(seed);
    PfnSet set;
    std::set<uint64_t> model;
    for (int step = 0; step < 3000; ++step) {
      const uint64_t first = random() % 200;
      const uint64_t end = first + random() % 20;
      switch (random() % 4) {
        case 0:
          set.Add(Pfns(first, end));
          for (uint64_t n = first; n < end; ++n) model.insert(n);
          break;
        case 1:
          set.Remove(Pfns(first, end));
          for (uint64_t n = first; n < end; ++n) model.erase(n);
          break;
        default: {
          const bool low = random() % 2 == 0;
          const PageCount limit(1 + random() % 6);
          const PfnExtent taken =
              low ? set.TakeLowest(limit) : set.TakeHighest(limit);
          ASSERT_EQ(taken.empty(), model.empty());
          for (Pfn n = taken.first; n < taken.end(); n += PageCount(1)) {
            ASSERT_EQ(model.erase(n.value()), 1) << n.value();
          }
          if (taken.empty() || model.empty()) break;
          ASSERT_TRUE(low ? *model.begin() > taken.first.value()
                          : *model.rbegin() < taken.first.value());
          break;
        }
      }
      ASSERT_EQ(set.size().value(), model.size()) << "step " << step;
      ASSERT_EQ(
          set.CountIn(Pfns(first, end)).value(),
          std::distance(model.lower_bound(first), model.lower_bound(end)));
      for (uint64_t n = 0; n < 225; ++n) {
        ASSERT_EQ(set.Contains(Pfn(n)), model.contains(n)) << n;
      }
    }
  }
}

}  // namespace
}  // namespace simvisor
