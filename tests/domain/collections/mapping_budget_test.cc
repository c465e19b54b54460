#include "domain/collections/mapping_budget.h"

#include <cstdint>
#include <utility>

#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20;
constexpr uint64_t kGib = uint64_t{1} << 30;

auto Exhausted(const char* message) {
  return IsError(absl::StatusCode::kResourceExhausted,
                 Reason::kHostAddressSpaceExhausted,
                 testing::HasSubstr(message));
}

TEST(MappingBudgetTest, MappingsAreCountedUntilTheyAreUnmapped) {
  MappingBudget budget(16 * kMib);
  {
    auto first = budget.Map(10 * kMib, nullptr);
    ASSERT_THAT(first, IsOk());
    EXPECT_EQ(budget.reserved(), 10 * kMib);
    EXPECT_THAT(budget.Map(7 * kMib, nullptr),
                Exhausted("10485760 of 16777216"));
    EXPECT_EQ(budget.reserved(), 10 * kMib);
    EXPECT_THAT(budget.Map(6 * kMib, nullptr), IsOk());
    EXPECT_EQ(budget.reserved(), 10 * kMib);
  }
  EXPECT_EQ(budget.reserved(), 0);
}

TEST(MappingBudgetTest, MovedMappingIsCountedOnce) {
  MappingBudget budget(16 * kMib);
  auto first = budget.Map(4 * kMib, nullptr);
  auto second = budget.Map(2 * kMib, nullptr);
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  static_cast<char*>(second->get())[kMib] = 1;
  *first = *std::move(second);
  EXPECT_EQ(budget.reserved(), 2 * kMib);
  EXPECT_EQ(static_cast<char*>(first->get())[kMib], 1);
  EXPECT_EQ(static_cast<char*>(first->get())[2 * kMib - 1], 0);
}

TEST(MappingBudgetTest, RefusedMappingIsNotCounted) {
  MappingBudget budget(~uint64_t{0});
  EXPECT_THAT(budget.Map(uint64_t{1} << 60, nullptr), Exhausted("memory"));
  EXPECT_EQ(budget.reserved(), 0);
}

class AlwaysFail : public AllocationFaults {
 public:
  bool FailNow(AllocationSite) override { return true; }
};

TEST(MappingBudgetTest, FaultIsARefusal) {
  MappingBudget budget(16 * kMib);
  AlwaysFail faults;
  EXPECT_THAT(budget.Map(kMib, &faults), Exhausted("memory"));
  EXPECT_EQ(budget.reserved(), 0);
}

TEST(MappingBudgetTest, EveryBoundLeavesAReserve) {
  EXPECT_EQ(MappingBudget::BoundFor(~uint64_t{0}),
            MappingBudget::kMostOfProcess);
  EXPECT_EQ(MappingBudget::BoundFor(4 * kGib), 2 * kGib);
  EXPECT_EQ(MappingBudget::BoundFor(0), 0);
}

}  // namespace
}  // namespace simvisor
