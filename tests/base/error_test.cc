#include "base/error.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

TEST(ErrorTest, CodeReasonAndMessageTravelTogether) {
  const absl::Status status =
      MakeError(absl::StatusCode::kNotFound, Reason::kDomainNotFound, "no 7");
  EXPECT_THAT(status, IsError(absl::StatusCode::kNotFound,
                              Reason::kDomainNotFound, testing::Eq("no 7")));
}

TEST(ErrorTest, StatusFromElsewhereHasNoReason) {
  EXPECT_EQ(ReasonOf(absl::InternalError("x")), std::nullopt);
  EXPECT_EQ(ReasonOf(absl::OkStatus()), std::nullopt);
}

TEST(ErrorTest, EveryReasonHasItsOwnName) {
  std::set<std::string> names;
  for (const Reason reason : AllReasons()) {
    const std::string name(ReasonName(reason));
    EXPECT_THAT(name, testing::MatchesRegex("[A-Z][A-Z0-9_]+"));
    EXPECT_TRUE(names.insert(name).second) << name;
  }
  // The enumerators count up from 0, so the last one tells how many there are.
  EXPECT_EQ(names.size(), static_cast<size_t>(AllReasons().back()) + 1);
}

}  // namespace
}  // namespace simvisor
