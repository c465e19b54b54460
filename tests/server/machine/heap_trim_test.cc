// When the memory of destroyed guests goes back to the system.

#include "server/machine/heap_trim.h"

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace simvisor::server {
namespace {

// Destroys guests, from `have` down to `left`; returns the numbers of guests at
// which the heap was trimmed.
std::vector<uint32_t> TrimsFrom(uint32_t have, uint32_t left,
                                HeapTrimRule& rule) {
  std::vector<uint32_t> trims;
  while (have > left) {
    --have;
    if (rule.OnGone(have, {})) trims.push_back(have);
  }
  return trims;
}

TEST(ServerHeapTrimTest, DestroyingThousandsCostsAFewTrims) {
  HeapTrimRule rule;
  EXPECT_EQ(TrimsFrom(10000, 0, rule),
            (std::vector<uint32_t>{5000, 2500, 1250, 625, 312, 56, 0}));
}

TEST(ServerHeapTrimTest, DestroyingAFewCostsNoTrim) {
  HeapTrimRule rule;
  EXPECT_TRUE(TrimsFrom(255, 0, rule).empty());
}

TEST(ServerHeapTrimTest, GuestsThatComeAndGoOneByOneCostNone) {
  HeapTrimRule rule;
  for (int i = 0; i < 10000; ++i) {
    EXPECT_TRUE(TrimsFrom(1001, 1000, rule).empty());
  }
}

TEST(ServerHeapTrimTest, SecondCrowdIsTrimmedAgain) {
  HeapTrimRule rule;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(TrimsFrom(600, 0, rule), (std::vector<uint32_t>{300, 44, 0}));
  }
}

TEST(ServerHeapTrimTest, LargeGuestCostsATrim) {
  const auto use = [](uint64_t most_mib, uint64_t now_mib) {
    return PageStore::Use{PageCount(most_mib * kPagesPerMiB),
                          PageCount(now_mib * kPagesPerMiB)};
  };
  HeapTrimRule rule;
  EXPECT_FALSE(rule.OnGone(5, use(60, 0)));
  EXPECT_TRUE(rule.OnGone(4, use(100, 30)));
  EXPECT_FALSE(rule.OnGone(3, use(30, 0)));
  // Guests that hold little, one by one.
  EXPECT_FALSE(rule.OnGone(2, use(90, 60)));
  EXPECT_FALSE(rule.OnGone(1, use(60, 46)));
  EXPECT_TRUE(rule.OnGone(0, use(46, 10)));
}

TEST(ServerHeapTrimTest, TrimsRunElsewhere) {
  std::vector<std::function<void()>> jobs;
  int trims = 0;
  HeapTrimmer trimmer(
      [&jobs](std::function<void()> job) { jobs.push_back(std::move(job)); },
      [&trims] { ++trims; });
  for (uint32_t left = 299; left > 0; --left) trimmer.OnGone(left, {});
  EXPECT_EQ(trims, 0);
  ASSERT_EQ(jobs.size(), 1u);
  jobs[0]();
  EXPECT_EQ(trims, 1);
}

TEST(ServerHeapTrimTest, BoundsMayBeLower) {
  HeapTrimRule rule(/*many=*/1, HeapTrimRule::kManyPages);
  EXPECT_TRUE(rule.OnGone(0, {}));
  EXPECT_TRUE(rule.OnGone(0, {}));
  EXPECT_FALSE(rule.OnGone(2, {}));
  EXPECT_TRUE(rule.OnGone(1, {}));
}

}  // namespace
}  // namespace simvisor::server
