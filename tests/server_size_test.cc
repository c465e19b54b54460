#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/size.h"
#include "tests/status_matchers.h"

namespace simvisor::server {
namespace {

using testing::HasSubstr;

TEST(ServerSizeTest, UnitsInEitherCase) {
  EXPECT_EQ(*ParseSize("1t"), PageCount(uint64_t{1} << 28));
  EXPECT_EQ(*ParseSize("64G"), PageCount(64 * kPagesPerGiB));
  EXPECT_EQ(*ParseSize("3m"), PageCount(3 * kPagesPerMiB));
  EXPECT_EQ(*ParseSize("7024020K"), PageCount(0x1acb65));
  EXPECT_EQ(*ParseSize("8192b"), PageCount(2));
}

TEST(ServerSizeTest, BareNumberIsMiB) {
  EXPECT_EQ(*ParseSize("512"), PageCount(512 * kPagesPerMiB));
  EXPECT_EQ(*ParseSize("0"), PageCount(0));
}

TEST(ServerSizeTest, TextThatIsNoSize) {
  for (const char* text :
       {"", "g", "-1g", "+1g", "1.5g", "1gb", "1 g", "0x10m", "g1", "1e3m"}) {
    EXPECT_THAT(ParseSize(text),
                IsError(absl::StatusCode::kInvalidArgument,
                        Reason::kArgumentMalformed, HasSubstr(text)))
        << text;
  }
}

TEST(ServerSizeTest, NotWholePages) {
  for (const char* text :
       {"1b", "4095b", "4097b", "3k", "4611686018427387905b"}) {
    EXPECT_THAT(ParseSize(text),
                IsError(absl::StatusCode::kInvalidArgument,
                        Reason::kArgumentMalformed, HasSubstr("4 KiB")))
        << text;
  }
}

TEST(ServerSizeTest, LargestSizeAndTheFirstThatIsTooLarge) {
  EXPECT_EQ(*ParseSize("16777215t"),
            PageCount((uint64_t{1} << 52) - (uint64_t{1} << 28)));
  for (const char* text :
       {"16777216t", "17592186044416", "18446744073709551616b",
        "99999999999999999999999g"}) {
    EXPECT_THAT(ParseSize(text),
                IsError(absl::StatusCode::kInvalidArgument,
                        Reason::kArgumentTooLarge, HasSubstr("2^64")))
        << text;
  }
}

TEST(ServerSizeTest, LongTextIsCutInTheMessage) {
  const auto result = ParseSize(std::string(100000, 'x'));
  ASSERT_FALSE(result.ok());
  EXPECT_LT(result.status().message().size(), 300u);
}

}  // namespace
}  // namespace simvisor::server
