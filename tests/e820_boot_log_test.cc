#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "domain/guest/e820.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e820_testing.h"
#include "tests/status_matchers.h"

namespace simvisor {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::SizeIs;

TEST(E820BootLogTest, RealDom0LogGivesItsSixHoles) {
  const E820Map map = RealMap();
  EXPECT_THAT(map.entries(), SizeIs(22));
  EXPECT_EQ(map.entries().front(), Ram(0, 0x9e000));
  EXPECT_EQ(map.entries().back(), Ram(4 * kGiB, 0x23fe00000));
  EXPECT_EQ(map.EndPage(), Pfn(0x23fe00));
  EXPECT_THAT(Holes(map),
              ElementsAre(Pages(0x9e, 0x100), Pages(0x20000, 0x20200),
                          Pages(0x40000, 0x40200), Pages(0xbad80, 0xbadf4),
                          Pages(0xbadf6, 0xbae7f), Pages(0xbb000, 0x100000)));
  PageCount missing;
  for (const PfnExtent& hole : Holes(map)) missing += hole.count;
  EXPECT_EQ(missing, PageCount(283999));
}

TEST(E820BootLogTest, AllTypesAreRead) {
  const auto map = E820Map::ParseBootLog(
      "Xen: [mem 0x0-0xfff] usable\n"
      "Xen: [mem 0x1000-0x1fff] reserved\n"
      "Xen: [mem 0x2000-0x2fff] ACPI data\n"
      "Xen: [mem 0x3000-0x3fff] ACPI NVS\r\n"
      "Xen: [mem 0x4000-0x4FFF] unusable  \n");
  ASSERT_THAT(map, IsOk());
  EXPECT_THAT(map->entries(),
              ElementsAre(Ram(0, 0x1000), Reserved(0x1000, 0x2000),
                          E820Entry{0x2000, 0x1000, E820Type::kAcpi},
                          E820Entry{0x3000, 0x1000, E820Type::kNvs},
                          Unusable(0x4000, 0x5000)));
}

TEST(E820BootLogTest, XensMapIsPreferredOverTheFirmwares) {
  const char kFirmware[] =
      "[    0.000000] BIOS-e820: [mem 0x0-0xffff] usable\n"
      "[    0.000000] BIOS-e820: [mem 0x0-0xfff] bogus\n";
  for (const char* tag : {"Xen:", "Xen-e820:"}) {
    const auto map = E820Map::ParseBootLog(
        absl::StrCat(kFirmware, "[    0.000000] ", tag,
                     " [mem 0x0-0x1fff] usable\n[mem 0x0-0x5fff] usable"));
    ASSERT_THAT(map, IsOk());
    EXPECT_THAT(map->entries(), ElementsAre(Ram(0, 0x2000)));
  }
}

TEST(E820BootLogTest, UntaggedLinesAreAMapIfThereIsNoOther) {
  const auto map = E820Map::ParseBootLog(
      "[mem 0x0-0xfff] usable\n"
      "[    0.000000] [mem 0x1000-0x1fff] reserved\n"
      "Jan  1 00:00:00 host kernel: [mem 0x2000-0x2fff] usable\n");
  ASSERT_THAT(map, IsOk());
  EXPECT_THAT(map->entries(), SizeIs(3));
}

TEST(E820BootLogTest, OtherRangesOfALogAreIgnored) {
  const auto map = E820Map::ParseBootLog(
      "e820: update [mem 0x00000000-0x00000fff] usable ==> reserved\n"
      "e820: remove [mem 0x000a0000-0x000fffff] usable\n"
      "[    0.0] BIOS-e820: [mem 0x0-0x1fff] usable\n"
      "  node   0: [mem 0x00001000-0x0009dfff]\n"
      "modified: [mem 0x0-0xfff] usable\n"
      "[    0.0] [mem 0xc0000000-0xfebfffff] available for PCI devices\n"
      "pci 0000:00:02.0: reg 0x10: [mem 0xf7800000-0xf7bfffff 64bit]\n"
      "BIOS-e820: 0000000000100000 - 0000000020000000 (usable)\n");
  ASSERT_THAT(map, IsOk());
  EXPECT_THAT(map->entries(), ElementsAre(Ram(0, 0x2000)));
}

TEST(E820BootLogTest, LogWithoutAMapIsRefused) {
  for (const char* text : {"", "\n\n", "Linux version 6.1\n",
                           "e820: remove [mem 0x0-0xfff] usable\n"}) {
    EXPECT_THAT(E820Map::ParseBootLog(text), IsMalformed("has no line like"));
  }
}

TEST(E820BootLogTest, MalformedLineIsNamed) {
  const auto parse = [](const std::string& line) {
    return E820Map::ParseBootLog("Xen: [mem 0x0-0xfff] usable\nnoise\n" + line);
  };
  EXPECT_THAT(parse("Xen: [mem 0x2fff-0x2000] usable\n"),
              AllOf(IsMalformed("line 3, \"Xen: [mem 0x2fff-0x2000] usable\""),
                    IsMalformed("ends below its start")));
  EXPECT_THAT(parse("Xen: [mem 0x2000-0x2fff] persistent"),
              AllOf(IsMalformed("line 3"), IsMalformed("unknown type")));
  EXPECT_THAT(parse("Xen: [mem 0x2000-0x2fff]"), IsMalformed("unknown type"));
  EXPECT_THAT(parse("Xen: [mem 0x2000-0x10000000000000] usable"),
              AllOf(IsMalformed("line 3"), IsMalformed("ends above")));
  EXPECT_THAT(parse("Xen: [mem 0x2000-0xffffffffffffffff] usable"),
              IsMalformed("ends above"));
  for (const char* range :
       {"[mem 0x2000-0x10000000000000000] usable", "[mem 0x2000] usable",
        "[mem 0x2000-2fff] usable", "[mem 0x-0x2fff] usable",
        "[mem 0x2000-0x2fff usable", "[mem 0x2000 - 0x2fff] usable",
        "[mem 0x2g00-0x2fff] usable"}) {
    EXPECT_THAT(parse(absl::StrCat("Xen: ", range)),
                AllOf(IsMalformed("line 3"), IsMalformed("not of the form")));
  }
}

TEST(E820BootLogTest, MessageQuotesHostileBytesEscapedAndCut) {
  const auto map = E820Map::ParseBootLog(
      absl::StrCat("Xen: [mem 0x0-0xfff] \xff\x01", std::string(500, 'z')));
  EXPECT_THAT(map, IsMalformed("\\xff\\x01zzz"));
  EXPECT_LT(map.status().message().size(), 300u);
}

TEST(E820BootLogTest, OverlapAndMoreThan128EntriesAreRefused) {
  EXPECT_THAT(E820Map::ParseBootLog("Xen: [mem 0x0-0x1000] usable\n"
                                    "Xen: [mem 0x1000-0x2fff] usable\n"),
              IsMalformed("overlaps"));
  std::string text;
  for (uint64_t i = 0; i < kMaxE820Entries + 1; ++i) {
    absl::StrAppend(&text, "Xen: [mem 0x", absl::Hex(i * 0x1000), "-0x",
                    absl::Hex(i * 0x1000 + 0xfff), "] usable\n");
  }
  EXPECT_THAT(E820Map::ParseBootLog(text), IsMalformed("129 entries"));
}

TEST(E820BootLogTest, TextAboveOneMiBIsRefused) {
  std::string text = "Xen: [mem 0x0-0xfff] usable\n";
  text.resize(kMaxE820TextBytes, '\n');
  EXPECT_THAT(E820Map::ParseBootLog(text), IsOk());
  text.push_back('\n');
  EXPECT_THAT(E820Map::ParseBootLog(text),
              IsMalformed("1048577 bytes, at most 1048576"));
}

}  // namespace
}  // namespace simvisor
