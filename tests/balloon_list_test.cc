#include "domain/guest/balloon_list.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/random_seed.h"

namespace simvisor {
namespace {

PfnExtent Pfns(uint64_t first, uint64_t end) {
  return ExtentBetween(Pfn(first), Pfn(end));
}

TEST(BalloonListTest, LastInComesBackFirstHighestFirst) {
  BalloonList list;
  list.Push(Pfns(100, 110));
  list.Push(Pfns(50, 55));
  EXPECT_EQ(list.Pop(PageCount(2)), Pfns(53, 55));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(50, 53));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(101, 110));
  EXPECT_EQ(list.size().value(), 1);
}

TEST(BalloonListTest, PfnsThatGoOnUpwardsJoin) {
  BalloonList list;
  list.Push(Pfns(100, 110));
  list.Push(Pfns(110, 115));
  EXPECT_EQ(list.extents().size(), 1);
  EXPECT_EQ(list.Pop(PageCount(10)), Pfns(105, 115));
}

TEST(BalloonListTest, NothingComesOutOfAnEmptyListOrOfNoPages) {
  BalloonList list;
  EXPECT_TRUE(list.Pop(PageCount(5)).empty());
  list.Push(Pfns(7, 7));
  EXPECT_EQ(list.size().value(), 0);
  list.Push(Pfns(7, 8));
  EXPECT_TRUE(list.Pop(PageCount(0)).empty());
  EXPECT_EQ(list.size().value(), 1);
}

TEST(BalloonListTest, RandomCallsAgreeWithAStackOfPfns) {
  for (const uint64_t seed : TestSeeds(4)) {
    SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
    std::mt19937_64 random(seed);
    BalloonList list;
    std::vector<uint64_t> model;  // the top is last
    for (int step = 0; step < 3000; ++step) {
      const uint64_t first = random() % 300;
      const uint64_t end = first + random() % 20;
      if (random() % 3 == 0) {
        list.Remove(Pfns(first, end));
        std::erase_if(model, [&](uint64_t n) { return n >= first && n < end; });
      } else if (random() % 2 == 0) {
        list.Remove(Pfns(first, end));
        std::erase_if(model, [&](uint64_t n) { return n >= first && n < end; });
        list.Push(Pfns(first, end));
        for (uint64_t n = first; n < end; ++n) model.push_back(n);
      } else {
        const PfnExtent taken = list.Pop(PageCount(1 + random() % 9));
        ASSERT_EQ(taken.empty(), model.empty());
        for (uint64_t i = 0; i < taken.count.value(); ++i) {
          ASSERT_EQ((taken.end() - PageCount(i + 1)).value(), model.back());
          model.pop_back();
        }
      }
      ASSERT_EQ(list.size().value(), model.size()) << "step " << step;
    }
  }
}

}  // namespace
}  // namespace simvisor
