#include "client/api/random_id.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace simvisor::client {
namespace {

TEST(RandomIdTest, IsThirtyTwoLowerCaseDigitsAndNeverTheSame) {
  const std::string first = RandomId();
  EXPECT_THAT(first, testing::MatchesRegex("[0-9a-f]*"));
  EXPECT_EQ(first.size(), 32u);
  EXPECT_NE(first, RandomId());
  EXPECT_NE(first.substr(0, 16), first.substr(16));
}

}  // namespace
}  // namespace simvisor::client
