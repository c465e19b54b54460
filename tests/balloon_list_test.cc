#include "domain/guest/balloon_list.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <random>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
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
  EXPECT_EQ(list.low_runs().size(), 1);
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

TEST(BalloonListTest, LowMemoryComesFirstThenHighMemoryAsItWentIn) {
  BalloonList list(Pfn(100));
  list.Push(Pfns(95, 110));
  list.Push(Pfns(120, 125));
  list.Push(Pfns(10, 12));
  EXPECT_THAT(
      list.Next(PageCount(8)),
      testing::ElementsAre(Pfns(10, 12), Pfns(95, 100), Pfns(100, 101)));
  EXPECT_EQ(list.Next(PageCount(99)).size(), 4);
  EXPECT_EQ(list.low_count().value(), 7);
  EXPECT_EQ(list.high_count().value(), 15);
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(10, 12));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(95, 100));
  EXPECT_EQ(list.Pop(PageCount(4)), Pfns(100, 104));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(104, 110));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(120, 125));
  EXPECT_EQ(list.size().value(), 0);
}

TEST(BalloonListTest, WhatIsPutBackComesNext) {
  BalloonList list(Pfn(100));
  list.Push(Pfns(90, 110));
  list.Push(Pfns(150, 160));
  EXPECT_EQ(list.Pop(PageCount(4)), Pfns(96, 100));
  list.PutBack(Pfns(98, 100));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(98, 100));
  list.Pop(PageCount(99));
  EXPECT_EQ(list.Pop(PageCount(4)), Pfns(100, 104));
  list.PutBack(Pfns(102, 104));
  EXPECT_EQ(list.Pop(PageCount(3)), Pfns(102, 105));
  EXPECT_EQ(list.Pop(PageCount(99)), Pfns(105, 110));
  list.PutBack(Pfns(105, 110));
  list.PutBack({});
  EXPECT_EQ(list.high_runs().size(), 2);
  EXPECT_EQ(list.high_count().value(), 15);
}

TEST(BalloonListTest, ManyLeaveAtOnceAndTheListSaysWhich) {
  BalloonList list;
  list.Push(Pfns(100, 110));
  list.Push(Pfns(50, 55));
  list.Push(Pfns(200, 201));
  PfnSet wanted;
  wanted.Add(Pfns(40, 52));
  wanted.Add(Pfns(54, 102));
  wanted.Add(Pfns(105, 106));
  wanted.Add(Pfns(109, 150));
  const PfnSet removed = list.Remove(wanted);
  EXPECT_EQ(removed.size().value(), 7u);
  EXPECT_EQ(list.size().value(), 9u);
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(200, 201));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(52, 54));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(106, 109));
  EXPECT_EQ(list.Pop(PageCount(9)), Pfns(102, 105));
}

// A list of single pages, kept as the kernel keeps its own.
class PageList {
 public:
  explicit PageList(uint64_t high_start) : high_start_(high_start) {}

  void Remove(uint64_t first, uint64_t end) {
    std::erase_if(pages_, [&](uint64_t n) { return n >= first && n < end; });
  }
  void Push(uint64_t first, uint64_t end) {
    for (uint64_t n = first; n < end; ++n) {
      pages_.insert(n < high_start_ ? pages_.begin() : pages_.end(), n);
    }
  }
  uint64_t Pop() {
    const uint64_t head = pages_.front();
    pages_.pop_front();
    return head;
  }
  size_t size() const { return pages_.size(); }
  size_t high_count() const {
    return std::count_if(pages_.begin(), pages_.end(),
                         [this](uint64_t n) { return n >= high_start_; });
  }

 private:
  const uint64_t high_start_;
  std::deque<uint64_t> pages_;  // the head is first
};

TEST(BalloonListTest, RandomCallsAgreeWithAListOfPages) {
  for (const uint64_t seed : TestSeeds(4)) {
    SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
    std::mt19937_64 random(seed);
    const uint64_t high_start = random() % 400;
    BalloonList list{Pfn(high_start)};
    PageList model(high_start);
    for (int step = 0; step < 3000; ++step) {
      const uint64_t first = random() % 300;
      const uint64_t end = first + random() % 20;
      if (random() % 5 == 0) {
        PfnSet wanted;
        wanted.Add(Pfns(first, end));
        wanted.Add(Pfns(end + 3, end + 9));
        const uint64_t before = model.size();
        model.Remove(first, end);
        model.Remove(end + 3, end + 9);
        ASSERT_EQ(list.Remove(wanted).size().value(), before - model.size());
      } else if (random() % 3 == 0) {
        list.Remove(Pfns(first, end));
        model.Remove(first, end);
      } else if (random() % 2 == 0) {
        list.Remove(Pfns(first, end));
        model.Remove(first, end);
        list.Push(Pfns(first, end));
        model.Push(first, end);
      } else {
        const PfnExtent taken = list.Pop(PageCount(1 + random() % 9));
        ASSERT_EQ(taken.empty(), model.size() == 0);
        const bool low = taken.first.value() < high_start;
        for (uint64_t i = 0; i < taken.count.value(); ++i) {
          const Pfn next =
              low ? taken.end() - PageCount(i + 1) : taken.first + PageCount(i);
          ASSERT_EQ(next.value(), model.Pop());
        }
      }
      ASSERT_EQ(list.size().value(), model.size()) << "step " << step;
      ASSERT_EQ(list.high_count().value(), model.high_count());
    }
  }
}

}  // namespace
}  // namespace simvisor
