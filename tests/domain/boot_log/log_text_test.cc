#include "domain/boot_log/log_text.h"

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace simvisor {
namespace {

TEST(LogTextTest, EscapeSequencesAndControlCharactersAreRemoved) {
  EXPECT_EQ(CleanLogLine("\x1b[1;31ma\x1b[0mb\x1b[Kc"), "abc");
  EXPECT_EQ(CleanLogLine("\x1b]0;title\x07text"), "text");
  EXPECT_EQ(CleanLogLine("\x1b(Btext\x1b"), "text");
  EXPECT_EQ(CleanLogLine("\x1b]0;title\x1b\\text"), "text");
  EXPECT_EQ(CleanLogLine("\x1b]0;title\x1b[0mtext"), "text");
  EXPECT_EQ(CleanLogLine("a\x1b]never ends"), "a");
  EXPECT_EQ(CleanLogLine(absl::string_view(" \ta\0b\r\r", 7)), "ab");
  EXPECT_EQ(CleanLogLine("a\tb"), "a b");
}

TEST(LogTextTest, SpelledEscapeSequencesAreRemovedAndBracketsStay) {
  EXPECT_EQ(CleanLogLine("^[[33mXen:^[[0m [mem 0x0]"), "Xen: [mem 0x0]");
  EXPECT_EQ(CleanLogLine("ESC[33mXen:ESC[m [mem 0x0]"), "Xen: [mem 0x0]");
  EXPECT_EQ(CleanLogLine("#033[0m[    0.000000] a"), "[    0.000000] a");
  EXPECT_EQ(CleanLogLine("[31m] [0000, 1111]"), "[31m] [0000, 1111]");
  for (const char* escape :
       {"<ESC>", "\\e", "\\x1B", "\\u001B", "\xe2\x90\x9b", "\xef\xbf\xbd"}) {
    EXPECT_EQ(CleanLogLine(std::string(escape) + "[1;33mXen: [mem 0x0]"),
              "Xen: [mem 0x0]")
        << escape;
  }
}

TEST(LogTextTest, ColoursWithoutTheirEscapeAreRemovedAndBracketsStay) {
  EXPECT_EQ(CleanLogLine("[32m[    0.000000] [0m[33mXen:[0m [mem 0x0][m"),
            "[    0.000000] Xen: [mem 0x0]");
  EXPECT_EQ(CleanLogLine("[01;31m[KXen:[m[K [mem 0x0]"), "Xen: [mem 0x0]");
  for (const char* text : {"[mem 0x0]", "[m", "[K", "[0", "[0, 1]", "[10m]"}) {
    EXPECT_EQ(CleanLogLine(std::string("a ") + text + "b"),
              std::string("a ") + text + "b");
  }
}

TEST(LogTextTest, SpacesOfWebPagesAreSpaces) {
  EXPECT_EQ(CleanLogLine("\xc2\xa0Xen:\xc2\xa0[mem 0x\xe2\x80\x8b"
                         "0]\xe2\x80\xafusable\xc2\xa0"),
            "Xen: [mem 0x0] usable");
  EXPECT_EQ(CleanLogLine("\xef\xbb\xbf[mem"), "[mem");
  EXPECT_EQ(CleanLogLine("\xc3\xa0"), "\xc3\xa0");
}

TEST(LogTextTest, FirstLineOfTheHypervisorNamesItsBuilder) {
  EXPECT_TRUE(IsXenBanner(
      "(XEN) Xen version 4.17.4 (Debian 4.17.4-1) (team@debian.org) (gcc)"));
  EXPECT_TRUE(IsXenBanner(" Xen version 4.1.2_09-1 (abuild@) (gcc)"));
  for (const char* line :
       {"Xen version 4.17.", "Xen version: 4.1.2 (preserve-AD)", "Xen version ",
        "Xen version 4.17", "Xen version of x (y)"}) {
    EXPECT_FALSE(IsXenBanner(line)) << line;
  }
}

TEST(LogTextTest, FirstLineOfAKernelNamesItsVersion) {
  EXPECT_TRUE(IsKernelBanner("[    0.000000] Linux version 6.1.0 (a@b) (gcc)"));
  EXPECT_FALSE(IsKernelBanner("Linux version unknown"));
  EXPECT_FALSE(IsKernelBanner("Linux version "));
}

TEST(LogTextTest, HeadingsSayWhoPrintedAMap) {
  EXPECT_TRUE(IsXenMapHeading("(XEN) Xen-e820 RAM map:"));
  EXPECT_FALSE(IsKernelMapHeading("(XEN) Xen-e820 RAM map:"));
  EXPECT_TRUE(IsKernelMapHeading("e820: BIOS-provided physical RAM map:"));
  EXPECT_FALSE(IsXenMapHeading("e820: BIOS-provided physical RAM map:"));
}

TEST(LogTextTest, GuestLinesAreDistinguishedFromXensAndDom0s) {
  for (const char* line :
       {"(d1) Xen: [mem 0x0]", "(XEN) (d12) text", "[2017] (d1) text",
        "(XEN) HVM4: Linux version 3.17", "(XEN) [2017-01-01 00:00:00] HVM4: a",
        "a (dx) (d1) b"}) {
    EXPECT_TRUE(IsGuestLine(line)) << line;
  }
  for (const char* line :
       {"(XEN) Xen version 4.17", "(d0) [0.0] Xen: [mem 0x0]", "(d) text",
        "(d1 text", "HVM4: text", "(XEN) HVM: ASIDs enabled.",
        "(XEN) HVM4 text", "(XEN) [HVM4:", "(XEN)"}) {
    EXPECT_FALSE(IsGuestLine(line)) << line;
  }
}

TEST(LogTextTest, TextAfterWordsHasNoSpaceAtItsStart) {
  EXPECT_EQ(TextAfter("a b:  c", "b:"), "c");
  EXPECT_EQ(TextAfter("a b:", "b:"), "");
  EXPECT_EQ(TextAfter("a", "b:"), std::nullopt);
}

TEST(LogTextTest, HexDigitsAreConsumedWhole) {
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
