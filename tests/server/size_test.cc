#include "server/size.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

using testing::HasSubstr;

TEST(ServerSizeTest, UnitsInEitherCase) {
  EXPECT_EQ(*ParsePages("1t"), PageCount(uint64_t{1} << 28));
  EXPECT_EQ(*ParsePages("64G"), PageCount(64 * kPagesPerGiB));
  EXPECT_EQ(*ParsePages("3m"), PageCount(3 * kPagesPerMiB));
  EXPECT_EQ(*ParsePages("7024020K"), PageCount(0x1acb65));
  EXPECT_EQ(*ParsePages("8192b"), PageCount(2));
}

TEST(ServerSizeTest, BareNumberIsMiB) {
  EXPECT_EQ(*ParsePages("512"), PageCount(512 * kPagesPerMiB));
  EXPECT_EQ(*ParsePages("0"), PageCount(0));
}

TEST(ServerSizeTest, TextThatIsNotASize) {
  for (const char* text :
       {"", "g", "-1g", "+1g", "1.5g", "1gb", "1 g", "0x10m", "g1", "1e3m"}) {
    EXPECT_THAT(ParsePages(text),
                IsError(absl::StatusCode::kInvalidArgument,
                        Reason::kArgumentMalformed, HasSubstr(text)))
        << text;
  }
}

TEST(ServerSizeTest, NotWholePages) {
  for (const char* text :
       {"1b", "4095b", "4097b", "3k", "4611686018427387905b"}) {
    EXPECT_THAT(ParsePages(text),
                IsError(absl::StatusCode::kInvalidArgument,
                        Reason::kArgumentMalformed, HasSubstr("4 KiB")))
        << text;
  }
}

TEST(ServerSizeTest, LargestSizeAndTheFirstThatIsTooLarge) {
  EXPECT_EQ(*ParsePages("16777215t"),
            PageCount((uint64_t{1} << 52) - (uint64_t{1} << 28)));
  for (const char* text :
       {"16777216t", "17592186044416", "18446744073709551616b",
        "99999999999999999999999g"}) {
    EXPECT_THAT(ParsePages(text),
                IsError(absl::StatusCode::kInvalidArgument,
                        Reason::kArgumentTooLarge, HasSubstr("2^64")))
        << text;
  }
}

TEST(ServerSizeTest, LongTextIsCutInTheMessage) {
  const auto result = ParsePages(std::string(100000, 'x'));
  ASSERT_FALSE(result.ok());
  EXPECT_LT(result.status().message().size(), 300u);
}

}  // namespace
}  // namespace simvisor::server
