#include "domain/units/operation.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

TEST(ContextTest, RefusalNamesDomainOperationAndDetails) {
  const DomainIdentity web(DomainId(3), "web");
  const Context context(web, "balloon down");
  const auto refuse = [&](absl::string_view details, absl::string_view text) {
    return context.Refuse(absl::StatusCode::kInvalidArgument,
                          Reason::kRangeInvalid, details, text);
  };
  EXPECT_EQ(refuse("by 5 pages", "it has 2").message(),
            "web (3): balloon down by 5 pages: it has 2");
  EXPECT_EQ(refuse("", "it has 2").message(),
            "web (3): balloon down: it has 2");
  EXPECT_EQ(refuse("of 0 pages; name at least one", "").message(),
            "web (3): balloon down of 0 pages; name at least one");
  EXPECT_EQ(refuse("", "").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(refuse("", "")), "RANGE_INVALID");
}

TEST(ContextTest, RefusalCarriesDomainOperationAndItsOwnFacts) {
  const DomainIdentity web(DomainId(3), "web");
  const absl::Status status =
      Context(web, "balloon down")
          .Refuse(absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid, "",
                  "why", {{fact::kRequested, 5}});
  EXPECT_THAT(FactsOf(status),
              testing::ElementsAre(testing::Pair("domain", "web"),
                                   testing::Pair("domid", "3"),
                                   testing::Pair("operation", "balloon down"),
                                   testing::Pair("requested", "5")));
}

TEST(ContextTest, ErrorOfAPartKeepsItsReasonAndFacts) {
  const DomainIdentity web(DomainId(3), "web");
  const absl::Status status =
      Context(web, "write")
          .Within(
              MakeError(absl::StatusCode::kResourceExhausted,
                        Reason::kHostMemoryExhausted, "no room",
                        {{fact::kAvailable, 0}, {fact::kOperation, "claim"}}));
  EXPECT_EQ(status.message(), "web (3): write: no room");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), "HOST_MEMORY_EXHAUSTED");
  EXPECT_THAT(FactsOf(status),
              testing::ElementsAre(testing::Pair("available", "0"),
                                   testing::Pair("domain", "web"),
                                   testing::Pair("domid", "3"),
                                   testing::Pair("operation", "claim")));
}

TEST(ContextTest, DomainWithoutANameIsNamedByItsId) {
  DomainIdentity web(DomainId(3), "web");
  EXPECT_EQ(web.ToString(), "web (3)");
  web.Rename("db");
  EXPECT_EQ(web.ToString(), "db (3)");
  web.Rename("");
  EXPECT_EQ(web.ToString(), "domain 3");
}

TEST(ContextTest, OtherWordsAreForTheSameDomain) {
  const DomainIdentity web(DomainId(3), "web");
  const Context context = Context(web, "set memory target").As("boot");
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
