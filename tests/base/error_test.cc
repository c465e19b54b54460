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

TEST(ErrorTest, FactsAreFiguresInDecimalAndFrameNumbersInHex) {
  const absl::Status status =
      MakeError(absl::StatusCode::kOutOfRange, Reason::kMfnOutOfRange, "x",
                {{fact::kValue, Hex(0x1f)}, {fact::kLimit, uint64_t{1} << 63}});
  EXPECT_THAT(
      FactsOf(status),
      testing::ElementsAre(testing::Pair("limit", "9223372036854775808"),
                           testing::Pair("value", "0x1f")));
  EXPECT_THAT(FactsOf(absl::InternalError("x")), testing::IsEmpty());
}

TEST(ErrorTest, ErrorWithinAnotherKeepsAllButTheBeginningOfItsMessage) {
  const absl::Status inner =
      MakeError(absl::StatusCode::kAborted, Reason::kP2mChanged, "it changed",
                {{fact::kValue, "inner"}});
  const absl::Status outer =
      Within("migrate: ", inner, {{fact::kValue, "outer"}, {fact::kDomid, 3}});
  EXPECT_THAT(outer, IsError(absl::StatusCode::kAborted, Reason::kP2mChanged,
                             testing::Eq("migrate: it changed")));
  EXPECT_THAT(FactsOf(outer),
              testing::ElementsAre(testing::Pair("domid", "3"),
                                   testing::Pair("value", "inner")));
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
