#include "server/calls/message_budget.h"

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "base/error.h"
#include "gtest/gtest.h"

namespace simvisor::server {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

TEST(MessageBudgetTest, ChargesAreGivenBack) {
  MessageBudget budget(kMiB);
  {
    MessageBudget::Charge charge;
    EXPECT_TRUE(budget.Add("Get", 1000, &charge).ok());
    EXPECT_TRUE(budget.Add("Get", 500, &charge).ok());
    EXPECT_EQ(charge.bytes(), 1500u);
    EXPECT_EQ(budget.used(), 1500u);
  }
  EXPECT_EQ(budget.used(), 0u);
}

TEST(MessageBudgetTest, MovedChargeCountsOnce) {
  MessageBudget budget(kMiB);
  MessageBudget::Charge first;
  EXPECT_TRUE(budget.Add("Get", 1000, &first).ok());
  MessageBudget::Charge second;
  EXPECT_TRUE(budget.Add("Get", 1, &second).ok());
  second = std::move(first);
  EXPECT_EQ(budget.used(), 1000u);
  second.Release();
  EXPECT_EQ(budget.used(), 0u);
}

TEST(MessageBudgetTest, LargeMessagesLeaveRoomForSmallOnes) {
  MessageBudget budget(kMiB);
  MessageBudget::Charge large;
  EXPECT_TRUE(budget.Add("Write", kMiB / 2, &large).ok());
  MessageBudget::Charge other;
  const absl::Status refused = budget.Add("Write", 65537, &other);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused), "MESSAGE_MEMORY_EXHAUSTED");
  EXPECT_EQ(budget.used(), kMiB / 2);

  MessageBudget::Charge medium;
  for (int i = 0; i < 4; ++i) {
    MessageBudget::Charge charge;
    ASSERT_TRUE(budget.Add("List", 65536, &charge).ok()) << i;
    budget.AddAlways(65536, &medium);
  }
  EXPECT_EQ(ReasonOf(budget.Add("List", 4097, &other)),
            "MESSAGE_MEMORY_EXHAUSTED");

  MessageBudget::Charge small;
  for (int i = 0; i < 64; ++i) {
    MessageBudget::Charge charge;
    ASSERT_TRUE(budget.Add("Get", 4096, &charge).ok()) << i;
    budget.AddAlways(4096, &small);
  }
  EXPECT_EQ(ReasonOf(budget.Add("Get", 1, &other)), "MESSAGE_MEMORY_EXHAUSTED");
}

TEST(MessageBudgetTest, GrowingChargeIsLimitedAsAWhole) {
  MessageBudget budget(kMiB);
  MessageBudget::Charge large;
  EXPECT_TRUE(budget.Add("Write", kMiB / 2, &large).ok());
  EXPECT_FALSE(budget.Add("Write", 1, &large).ok());
  EXPECT_EQ(large.bytes(), kMiB / 2);
}

TEST(MessageBudgetTest, ChargesThatMustNotFailStillCount) {
  MessageBudget budget(kMiB);
  MessageBudget::Charge charge;
  budget.AddAlways(2 * kMiB, &charge);
  EXPECT_EQ(budget.used(), 2 * kMiB);
}

TEST(MessageBudgetTest, ChargeOutlivesItsBudget) {
  std::optional<MessageBudget> budget(kMiB);
  MessageBudget::Charge charge;
  EXPECT_TRUE(budget->Add("Get", 1000, &charge).ok());
  budget.reset();
  charge.Release();
}

}  // namespace
}  // namespace simvisor::server
