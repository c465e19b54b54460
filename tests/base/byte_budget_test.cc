#include "base/byte_budget.h"

#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace simvisor {
namespace {

TEST(ByteBudgetTest, GrantsUpToItsLimit) {
  ByteBudget budget(100);
  EXPECT_TRUE(budget.TryTake(60));
  EXPECT_FALSE(budget.TryTake(41));
  EXPECT_EQ(budget.used(), 60u);
  EXPECT_TRUE(budget.TryTake(40));
  EXPECT_FALSE(budget.TryTake(1));
  EXPECT_TRUE(budget.TryTake(0));
  budget.Give(100);
  EXPECT_EQ(budget.used(), 0u);
}

TEST(ByteBudgetTest, SumThatWouldWrapIsRefused) {
  ByteBudget budget(100);
  ASSERT_TRUE(budget.TryTake(50));
  EXPECT_FALSE(budget.TryTake(ByteBudget::kUnlimited));
  EXPECT_FALSE(budget.TryTake(ByteBudget::kUnlimited - 49));
  EXPECT_EQ(budget.used(), 50u);
  ByteBudget unlimited;
  ASSERT_TRUE(unlimited.TryTake(50));
  EXPECT_FALSE(unlimited.TryTake(ByteBudget::kUnlimited));
}

TEST(ByteChargeTest, GrowsShrinksAndGoes) {
  ByteBudget budget(100);
  {
    ByteCharge charge(&budget);
    EXPECT_TRUE(charge.Resize(80));
    EXPECT_FALSE(charge.Resize(101));
    EXPECT_EQ(charge.bytes(), 80u);
    EXPECT_TRUE(charge.Resize(30));
    EXPECT_EQ(budget.used(), 30u);
  }
  EXPECT_EQ(budget.used(), 0u);
}

TEST(ByteChargeTest, MovesWithItsBytes) {
  ByteBudget budget(100);
  ByteCharge first(&budget), second(&budget);
  ASSERT_TRUE(first.Resize(40));
  ASSERT_TRUE(second.Resize(50));
  second = std::move(first);
  EXPECT_EQ(budget.used(), 40u);
  ByteCharge third(std::move(second));
  EXPECT_EQ(third.bytes(), 40u);
  EXPECT_EQ(budget.used(), 40u);
}

TEST(ByteChargeTest, WithoutABudgetIsGrantedEverything) {
  ByteCharge charge;
  EXPECT_TRUE(charge.Resize(ByteBudget::kUnlimited));
  EXPECT_TRUE(charge.Resize(1));
}

TEST(ByteBudgetTest, ThreadsNeverHoldMoreThanTheLimit) {
  constexpr uint64_t kLimit = 1000;
  ByteBudget budget(kLimit);
  std::atomic<bool> over = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      ByteCharge charge(&budget);
      for (uint64_t n = 0; n < 20000; ++n) {
        charge.Resize(n * 37 % 700);
        if (budget.used() > kLimit) over = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(over);
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace simvisor
