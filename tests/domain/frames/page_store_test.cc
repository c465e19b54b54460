#include "domain/frames/page_store.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/frames/test_frames.h"
#include "tests/support/random_seed.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;

std::vector<PagePtr> Take(PageStore& store, size_t count) {
  std::vector<PagePtr> pages;
  EXPECT_THAT(store.Take(count, pages), IsOk());
  EXPECT_EQ(pages.size(), count);
  return pages;
}

bool IsZero(const Page& page) {
  return std::all_of(page.begin(), page.end(), [](char c) { return c == 0; });
}

TEST(PageStoreTest, BeyondTheLimitNothingIsTaken) {
  PageStore store(PageCount(10));
  std::vector<PagePtr> pages = Take(store, 8);
  EXPECT_THAT(store.Take(3, pages),
              IsError(Code::kResourceExhausted, Reason::kGuestContentsExhausted,
                      testing::HasSubstr("it needs room for "
                                         "the contents of 3 more pages, and "
                                         "guests have 8 of the 10")));
  EXPECT_EQ(pages.size(), 8u);
  EXPECT_EQ(store.used(), PageCount(8));
  EXPECT_THAT(store.Take(2, pages), IsOk());
  pages.pop_back();
  EXPECT_THAT(store.Take(1, pages), IsOk());
}

TEST(PageStoreTest, CountsBeyondAllMemoryAreRefused) {
  PageStore store(PageCount(10));
  std::vector<PagePtr> pages = Take(store, 1);
  EXPECT_THAT(store.Take(0, pages), IsOk());
  EXPECT_THAT(store.Take(uint64_t{1} << 40, pages),
              IsError(Code::kResourceExhausted, Reason::kGuestContentsExhausted,
                      testing::_));
}

TEST(PageStoreTest, TakeAnywayGoesBeyondTheLimit) {
  PageStore store(PageCount(1));
  std::vector<PagePtr> pages = Take(store, 1);
  PagePtr more = store.TakeAnyway();
  EXPECT_TRUE(IsZero(*more));
  EXPECT_EQ(store.used(), PageCount(2));
  EXPECT_THAT(store.Take(1, pages),
              IsError(Code::kResourceExhausted, Reason::kGuestContentsExhausted,
                      testing::_));
}

class AlwaysFail : public AllocationFaults {
 public:
  bool FailNow(AllocationSite site) override {
    EXPECT_EQ(site, AllocationSite::kContents);
    return true;
  }
};

TEST(PageStoreTest, RefusedMemoryIsNotCounted) {
  AlwaysFail faults;
  PageStore store(PageCount(10), &faults);
  std::vector<PagePtr> pages;
  EXPECT_THAT(store.Take(3, pages),
              IsError(Code::kResourceExhausted, Reason::kDaemonMemoryExhausted,
                      testing::HasSubstr("3 more pages")));
  EXPECT_TRUE(pages.empty());
  EXPECT_EQ(store.used(), PageCount(0));
  EXPECT_NE(store.TakeAnyway(), nullptr);
}

TEST(PageStoreTest, PagesAreZeroHoweverOftenTheyComeBack) {
  PageStore store;
  for (int round = 0; round < 3; ++round) {
    std::vector<PagePtr> pages = Take(store, 700);
    for (PagePtr& page : pages) {
      ASSERT_TRUE(IsZero(*page));
      page->fill('x');
    }
  }
}

TEST(PageStoreTest, MemoryKeptByManyPagesIsGivenBack) {
  PageStore store;
  std::vector<PagePtr> pages = Take(store, 10000);
  // Every other one, so that no chunk is free.
  for (size_t i = 0; i < pages.size(); i += 2) pages[i] = nullptr;
  EXPECT_LE(store.kept(), PageCount(PageStore::kMostKept));
  for (size_t i = 1; i < pages.size(); i += 2) {
    ASSERT_TRUE(IsZero(*pages[i]));
  }
  pages.clear();
  EXPECT_LE(store.kept(), PageCount(PageStore::kMostKept));
  EXPECT_EQ(store.used(), PageCount(0));
}

TEST(PageStoreTest, RandomTakersNeverShareAPage) {
  for (uint64_t seed : TestSeeds(2)) {
    SCOPED_TRACE(testing::Message() << "SIMVISOR_SEED=" << seed);
    std::mt19937_64 random(seed);
    PageStore store(PageCount(20000));
    std::vector<std::pair<PagePtr, char>> held;
    for (int step = 0; step < 400; ++step) {
      for (PagePtr& page : Take(store, random() % 40)) {
        ASSERT_TRUE(IsZero(*page));
        const char mark = static_cast<char>(1 + random() % 100);
        page->fill(mark);
        held.emplace_back(std::move(page), mark);
      }
      std::shuffle(held.begin(), held.end(), random);
      const size_t gone =
          random() % 3 == 0 ? held.size() / 2 : held.size() / 99;
      for (size_t i = 0; i < gone; ++i) {
        const auto& [page, mark] = held.back();
        ASSERT_EQ(page->front(), mark);
        ASSERT_EQ(page->back(), mark);
        held.pop_back();
      }
      ASSERT_EQ(store.used(), PageCount(held.size()));
    }
  }
}

}  // namespace
}  // namespace simvisor
