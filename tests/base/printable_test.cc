#include "base/printable.h"

#include <string>

#include "gtest/gtest.h"

namespace simvisor {
namespace {

TEST(PrintableTest, CharactersOfEveryLengthAreKept) {
  for (const char* text :
       {"", "plain ~", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
        "\xef\xbf\xbd", "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d"}) {
    EXPECT_EQ(Printable(text), text);
  }
}

TEST(PrintableTest, AsciiControlsAreBytes) {
  EXPECT_EQ(Printable(absl::string_view("a\0\t\n\r\x1b[1m\x7fz", 11)),
            "a\\x00\\x09\\x0a\\x0d\\x1b[1m\\x7fz");
}

TEST(PrintableTest, OtherControlsAreEscapedAsInJson) {
  EXPECT_EQ(Printable("\xc2\x9b"
                      "31m"),
            "\\u009b31m");
  EXPECT_EQ(Printable("\xe2\x80\xae"), "\\u202e");
  EXPECT_EQ(Printable("\xf3\xa0\x81\x81"), "\\udb40\\udc41");
}

TEST(PrintableTest, RangesEndWhereTheyShould) {
  for (const uint32_t code :
       {0x00u,    0x1fu,    0x7fu,    0x80u,    0x9fu,   0xadu,   0x34fu,
        0x61cu,   0x115fu,  0x1160u,  0x180eu,  0x200bu, 0x200fu, 0x2028u,
        0x202eu,  0x2060u,  0x2066u,  0x2069u,  0x206fu, 0x3164u, 0xfdd0u,
        0xfe0fu,  0xfeffu,  0xffa0u,  0xfff9u,  0xfffeu, 0xffffu, 0x1d173u,
        0x1fffeu, 0xe0001u, 0xe01efu, 0x10ffffu}) {
    EXPECT_FALSE(IsPrintable(code)) << std::hex << code;
  }
  for (const uint32_t code :
       {0x20u,   0x7eu,   0xa0u,    0xacu,    0xaeu,   0x34eu,  0x350u,
        0x61bu,  0x61du,  0x200au,  0x2010u,  0x2027u, 0x202fu, 0x205fu,
        0x2070u, 0x3163u, 0xfdcfu,  0xfdf0u,  0xfe10u, 0xfefeu, 0xff00u,
        0xfffcu, 0xfffdu, 0x1f600u, 0xdffffu, 0xe1000u}) {
    EXPECT_EQ(IsPrintable(code), (code & 0xfffe) != 0xfffe) << std::hex << code;
  }
}

TEST(PrintableTest, NonUtf8BytesAreEscapedAsBytes) {
  // A continuation, cut short, overlong, a surrogate, above U+10FFFF.
  EXPECT_EQ(Printable("\x80z"), "\\x80z");
  EXPECT_EQ(Printable("\xe2\x82"), "\\xe2\\x82");
  EXPECT_EQ(Printable("\xc0\xaf"), "\\xc0\\xaf");
  EXPECT_EQ(Printable("\xe0\x80\x9b"), "\\xe0\\x80\\x9b");
  EXPECT_EQ(Printable("\xf0\x80\x80\x9b"), "\\xf0\\x80\\x80\\x9b");
  EXPECT_EQ(Printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(Printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(Printable("\xff"), "\\xff");
}

TEST(PrintableTest, NothingUnprintableIsLeftOfAnyCharacter) {
  for (uint32_t code = 0; code <= 0x10ffff; ++code) {
    std::string text;
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else if (code < 0x800) {
      text += static_cast<char>(0xc0 | code >> 6);
    } else if (code < 0x10000) {
      text += static_cast<char>(0xe0 | code >> 12);
    } else {
      text += static_cast<char>(0xf0 | code >> 18);
      text += static_cast<char>(0x80 | (code >> 12 & 0x3f));
    }
    if (code >= 0x800) text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    if (code >= 0x80) text += static_cast<char>(0x80 | (code & 0x3f));
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    const Character first = FirstCharacter(text);
    ASSERT_EQ(first.bytes, surrogate ? 0 : text.size()) << std::hex << code;
    if (!surrogate) {
      ASSERT_EQ(first.code, code);
    }
    const bool kept = !surrogate && IsPrintable(code);
    ASSERT_EQ(Printable(text) == text, kept) << std::hex << code;
  }
}

}  // namespace
}  // namespace simvisor
