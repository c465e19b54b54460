#include "base/quote.h"

#include <string>

#include "base/printable.h"
#include "gtest/gtest.h"

namespace simvisor::server {
namespace {

TEST(ServerQuoteTest, ShortTextIsKept) {
  EXPECT_EQ(Shortened("abc", 3), "abc");
  EXPECT_EQ(Quoted("abc"), "\"abc\"");
}

TEST(ServerQuoteTest, LongTextIsCutToTheLimit) {
  EXPECT_EQ(Shortened("abcdefgh", 6), "abc...");
}

TEST(ServerQuoteTest, CharactersAreNotCutInTwo) {
  // Two euro signs of three bytes each.
  EXPECT_EQ(Shortened("\xe2\x82\xac\xe2\x82\xac"
                      "abcd",
                      8),
            "\xe2\x82\xac...");
}

TEST(ServerQuoteTest, TextOfContinuationBytesOnlyEnds) {
  EXPECT_EQ(Shortened(std::string(20, '\x80'), 10), "...");
}

TEST(ServerQuoteTest, ControlCharactersAreEscaped) {
  EXPECT_EQ(Printable("a\n\x1b[1m\x7f"), "a\\x0a\\x1b[1m\\x7f");
  EXPECT_EQ(Quoted("a\tb"), "\"a\\x09b\"");
}

TEST(ServerQuoteTest, CharactersOfEveryLengthAreKept) {
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
  EXPECT_EQ(Printable(text), text);
}

TEST(ServerQuoteTest, CharactersThatControlTextAreEscaped) {
  EXPECT_EQ(Quoted("a\xc2\x9b\xe2\x80\xae"
                   "b"),
            "\"a\\u009b\\u202eb\"");
}

TEST(ServerQuoteTest, BytesThatAreNoUtf8AreEscaped) {
  EXPECT_EQ(Printable("\x80z"), "\\x80z");
  EXPECT_EQ(Printable("\xe2\x82"), "\\xe2\\x82");
  EXPECT_EQ(Printable("\xc3z"), "\\xc3z");
}

}  // namespace
}  // namespace simvisor::server
