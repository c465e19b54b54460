#include "domain/units/operation.h"

#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

TEST(ContextTest, RefusalNamesDomainOperationAndDetails) {
  const Context context(DomainId(3), "balloon down");
  const auto refuse = [&](absl::string_view details, absl::string_view text) {
    return context.Refuse(absl::StatusCode::kInvalidArgument,
                          Reason::kRangeInvalid, details, text);
  };
  EXPECT_EQ(refuse("by 5 pages", "it has 2").message(),
            "domain 3: balloon down by 5 pages: it has 2");
  EXPECT_EQ(refuse("", "it has 2").message(),
            "domain 3: balloon down: it has 2");
  EXPECT_EQ(refuse("of 0 pages; name at least one", "").message(),
            "domain 3: balloon down of 0 pages; name at least one");
  EXPECT_EQ(refuse("", "").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(refuse("", "")), "RANGE_INVALID");
}

TEST(ContextTest, OtherWordsAreForTheSameDomain) {
  const Context context = Context(DomainId(3), "set memory target").As("boot");
  EXPECT_EQ(context.id(), DomainId(3));
  EXPECT_EQ(context.operation(), "boot");
}

TEST(OperationTest, NeverStopsUnlessItIsToldWhen) {
  const Operation operation{"pause"};
  EXPECT_TRUE(operation.stop().ok());
  const auto stopped = [] { return absl::CancelledError("stopped"); };
  EXPECT_EQ(Operation({"pause", stopped}).stop().code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace simvisor
