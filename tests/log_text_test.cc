#include "domain/guest/log_text.h"

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace simvisor {
namespace {

TEST(LogTextTest, EscapeSequencesAndControlCharactersGo) {
  EXPECT_EQ(CleanLogLine("\x1b[1;31ma\x1b[0mb\x1b[Kc"), "abc");
  EXPECT_EQ(CleanLogLine("\x1b]0;title\x07text"), "text");
  EXPECT_EQ(CleanLogLine("\x1b(Btext\x1b"), "text");
  EXPECT_EQ(CleanLogLine("a\x1b]never ends"), "a");
  EXPECT_EQ(CleanLogLine(absl::string_view(" \ta\0b\r\r", 7)), "ab");
  EXPECT_EQ(CleanLogLine("a\tb"), "a b");
}

TEST(LogTextTest, SpelledEscapeSequencesGoAndBracketsStay) {
  EXPECT_EQ(CleanLogLine("^[[33mXen:^[[0m [mem 0x0]"), "Xen: [mem 0x0]");
  EXPECT_EQ(CleanLogLine("ESC[33mXen:ESC[m [mem 0x0]"), "Xen: [mem 0x0]");
  EXPECT_EQ(CleanLogLine("#033[0m[    0.000000] a"), "[    0.000000] a");
  EXPECT_EQ(CleanLogLine("[31m] [0000, 1111]"), "[31m] [0000, 1111]");
}

TEST(LogTextTest, HexDigitsAreTakenOffWhole) {
  absl::string_view text = "00ffX";
  uint64_t value = 0;
  EXPECT_FALSE(ConsumeHexDigits(text, 5, value));
  EXPECT_EQ(text, "00ffX");
  EXPECT_TRUE(ConsumeHexDigits(text, 4, value));
  EXPECT_EQ(text, "X");
  EXPECT_EQ(value, 0xffu);
  text = "11111111111111111";
  EXPECT_FALSE(ConsumeHexDigits(text, 1, value));
}

TEST(LogTextTest, QuotedTextIsEscapedAndCut) {
  EXPECT_EQ(QuoteLogText("a\x01"), "\"a\\x01\"");
  EXPECT_EQ(QuoteLogText(std::string(49, 'a')),
            "\"" + std::string(48, 'a') + "...\"");
}

}  // namespace
}  // namespace simvisor
