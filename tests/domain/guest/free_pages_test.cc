// A guest's unused pages, and pages reserved in advance.

#include "domain/guest/free_pages.h"

#include <cstdint>
#include <set>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/e820_testing.h"
#include "tests/support/extents.h"

namespace simvisor {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Fails the allocations whose numbers, counted from 1, are in `fail`.
class FailThese : public AllocationFaults {
 public:
  explicit FailThese(std::set<int> fail) : fail_(std::move(fail)) {}
  bool MayFail(AllocationSite) const override { return armed; }
  bool FailNow(AllocationSite site) override {
    EXPECT_EQ(site, AllocationSite::kGuestPage);
    return fail_.contains(++asked);
  }
  int asked = 0;
  bool armed = true;

 private:
  std::set<int> fail_;
};

TEST(FreePagesTest, KernelTakesTheLowestAndTheBalloonTheHighest) {
  FreePages pages;
  pages.Return(Pfns(10, 20));
  pages.Return(Pfns(30, 40));
  EXPECT_EQ(pages.Take(PageCount(15)), Pfns(10, 20));
  EXPECT_EQ(pages.TakeForBalloon(PageCount(4)), Pfns(36, 40));
  EXPECT_EQ(pages.count(), PageCount(6));
}

TEST(FreePagesTest, FreePagesOfARangeAreRemovedAndReported) {
  FreePages pages;
  pages.Return(Pfns(10, 20));
  pages.Return(Pfns(30, 40));
  pages.Return(Pfns(50, 60));
  EXPECT_THAT(pages.RemoveWithin(Pfns(15, 55)),
              ElementsAre(Pfns(15, 20), Pfns(30, 40), Pfns(50, 55)));
  EXPECT_EQ(pages.count(), PageCount(10));
  EXPECT_THAT(pages.RemoveWithin(Pfns(20, 50)), IsEmpty());
  EXPECT_EQ(pages.count(), PageCount(10));
}

TEST(FreePagesTest, EachPageOfManyMayFail) {
  FailThese faults({3});
  FreePages pages(&faults);
  pages.Return(Pfns(10, 20));
  EXPECT_EQ(pages.Take(PageCount(5)), Pfns(10, 11));
  EXPECT_EQ(pages.Take(PageCount(5)), Pfns(11, 12));
  EXPECT_TRUE(pages.Take(PageCount(5)).empty());
  EXPECT_EQ(pages.TakeForBalloon(PageCount(5)), Pfns(19, 20));
  EXPECT_EQ(pages.count(), PageCount(7));
}

TEST(FreePagesTest, SettledPagesDoNotFail) {
  FailThese faults({7});
  FreePages pages(&faults);
  pages.Return(Pfns(10, 14));
  pages.Return(Pfns(20, 30));
  {
    const FreePages::Settled settled(pages, PageCount(6));
    EXPECT_EQ(settled.count(), PageCount(6));
    EXPECT_EQ(pages.Take(PageCount(6)), Pfns(10, 14));
    EXPECT_EQ(pages.TakeForBalloon(PageCount(6)), Pfns(28, 30));
    EXPECT_EQ(faults.asked, 6);
    EXPECT_TRUE(pages.Take(PageCount(1)).empty());
  }
  EXPECT_EQ(pages.Take(PageCount(1)), Pfns(20, 21));
}

TEST(FreePagesTest, SettlingEndsAtTheFirstFailure) {
  FailThese faults({3});
  FreePages pages(&faults);
  pages.Return(Pfns(10, 20));
  EXPECT_EQ(FreePages::Settled(pages, PageCount(8)).count(), PageCount(2));
  EXPECT_EQ(FreePages::Settled(pages, PageCount(8)).count(), PageCount(8));
  FreePages plain;
  EXPECT_EQ(FreePages::Settled(plain, PageCount(8)).count(), PageCount(8));
}

TEST(FreePagesTest, PagesThatCannotFailAreTakenAtOnce) {
  FailThese faults({1});
  faults.armed = false;
  FreePages pages(&faults);
  pages.Return(Pfns(10, 20));
  EXPECT_EQ(pages.Take(PageCount(3)), Pfns(10, 13));
  EXPECT_EQ(pages.TakeForBalloon(PageCount(2)), Pfns(18, 20));
  EXPECT_EQ(faults.asked, 0);
}

TEST(FreePagesTest, PagesSettledBeforeFaultsBeginDoNotFail) {
  FailThese faults({1});
  faults.armed = false;
  FreePages pages(&faults);
  pages.Return(Pfns(10, 20));
  const FreePages::Settled settled(pages, PageCount(5));
  EXPECT_EQ(settled.count(), PageCount(5));
  EXPECT_EQ(pages.Take(PageCount(2)), Pfns(10, 12));
  faults.armed = true;
  EXPECT_EQ(pages.Take(PageCount(5)), Pfns(12, 15));
  EXPECT_TRUE(pages.Take(PageCount(5)).empty());
}

TEST(FreePagesTest, UnusedSettlementsLapse) {
  FailThese faults({4});
  FreePages pages(&faults);
  pages.Return(Pfns(10, 20));
  { const FreePages::Settled settled(pages, PageCount(3)); }
  EXPECT_TRUE(pages.Take(PageCount(1)).empty());
}

}  // namespace
}  // namespace simvisor
