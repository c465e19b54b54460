// Boot logs that are refused, and what the message says.

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "domain/boot_log/boot_log.h"
#include "domain/e820/e820.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/boot_log/boot_log_testing.h"
#include "tests/support/e820_testing.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

TEST(E820BootLogTest, LogWithoutAMapIsRefused) {
  for (const char* text : {"", "\n\n", "Linux version 6.1\n",
                           "e820: remove [mem 0x0-0xfff] usable\n"}) {
    EXPECT_THAT(ReadBootLog(text), IsMalformed("has no line like"));
  }
}

TEST(E820BootLogTest, MessageHasTheLineAndTheWordThatOffends) {
  const auto parse = [](const std::string& line) {
    return ReadBootLog(
        "Nov 29 08:43:20 host kernel: [    0.000000] Xen: [mem 0x0-0xfff] "
        "usable\nnoise\n" +
        line);
  };
  EXPECT_THAT(parse("Xen: [mem 0x2fff-0x2000] usable\n"),
              IsMalformed("line 3: \"[mem 0x2fff-0x2000]\" ends below"));
  // The word, wherever it is in its line.
  EXPECT_THAT(parse(std::string(200, 'x') + " Xen: [mem 0x2000-0x2fff] usabel"),
              IsMalformed("line 3: \"usabel\" is an unknown type"));
  for (const char* type : {"type x", "type 4294967296", "persistent (type x)",
                           "persistent (type 7", "reserved reserved"}) {
    EXPECT_THAT(parse(absl::StrCat("Xen: [mem 0x2000-0x2fff] ", type)),
                IsMalformed(absl::StrCat("line 3: \"", type, "\"")));
  }
  EXPECT_THAT(parse("Xen: [mem 0x2000-0x2fff]"),
              IsMalformed("line 3: no type follows \"[mem 0x2000-0x2fff]\""));
  EXPECT_THAT(parse("Xen: [mem 0x2000-0x10000000000000] usable"),
              AllOf(IsMalformed("line 3"), IsMalformed("ends above")));
  EXPECT_THAT(parse("Xen: [mem 0x2000-0xffffffffffffffff] usable"),
              IsMalformed("ends above"));
  for (const char* range :
       {"[mem 0x2000-0x10000000000000000]", "[mem 0x2000]", "[mem 0x2000-2fff]",
        "[mem 0x-0x2fff]", "[mem 0x2000 - 0x2fff]", "[mem 0x2g00-0x2fff]"}) {
    EXPECT_THAT(parse(absl::StrCat("Xen: ", range, " usable")),
                IsMalformed(absl::StrCat("line 3: \"", range,
                                         "\" is not of the form")));
  }
  EXPECT_THAT(parse("Xen: [mem 0x2000-0x2fff usable"),
              IsMalformed("is not of the form"));
}

TEST(E820BootLogTest, LineWithoutAWholeRangeIsNamedInAllForms) {
  const auto parse = [](const std::string& line) {
    return ReadBootLog(absl::StrCat(
        "(XEN) Xen-e820 RAM map:\n"
        "(XEN)  0000000000000000 - 000000000009a800 (usable)\n",
        line, "\n(XEN)  0000000000200000 - 0000000000300000 (usable)\n"));
  };
  for (const char* line :
       {"0000000000100(XEN) foo", "0000000000100000 -",
        "0000000000100000 - 00000000b_d80000 (usable)", "[0000000000100000, 00",
        "0000000000100000 - 0000000000200000x (usable)"}) {
    for (const char* prefix : {"(XEN)  ", "(XEN) [0000001b4a3297f3]  "}) {
      EXPECT_THAT(
          parse(absl::StrCat(prefix, line)),
          AllOf(IsMalformed("line 3: "), IsMalformed("is not of the form")))
          << line;
    }
  }
  // The end of a line is lost, and the next line follows on the same line.
  EXPECT_THAT(parse("(XEN)  0000000000100(XEN)  0000000000180000 - "
                    "0000000000190000 (usable)"),
              IsMalformed("line 3: \"0000000000100(XEN)\""));
  for (const char* line :
       {"BIOS-e820: 0000000000100", "Xen: [", "Xen: [me", "Xen: [mem 0",
        "BIOS-e820: 0000000000100000 - 00000000b_d80000 (usable)"}) {
    EXPECT_THAT(ReadBootLog(absl::StrCat("noise\n", line)),
                IsMalformed("line 2: "))
        << line;
  }
}

TEST(E820BootLogTest, OtherLinesThatBeginLikeARangeAreIgnored) {
  EXPECT_THAT(
      Entries("Xen: setup ISA identity maps\n"
              "[0.0] Xen: adding 4 pages\n"
              "[0.0] BIOS-e820: [gap 0x1000-0x1fff]  4   KB ...\n"
              "(XEN) Xen-e820 RAM map:\n"
              "(XEN)  0000000000000000 - 0000000000100000 (usable)\n"
              "(XEN) System RAM: 1MB (1024kB)\n"
              "(XEN) Xen stack trace from rsp=ffff82d080417ea8:\n"
              "(XEN)    ffff82d08020a4e5 0000000000000000 0000000000000001\n"
              "(XEN) ACPI: RSDP 000F0490, 0024 (r2 ALASKA)\n"),
      ElementsAre(Ram(0, 0x100000)));
}

TEST(E820BootLogTest, MappingsThatAnOldKernelPrintsAreIgnored) {
  for (const char* line : {"[    0.000000]  0000000000 - 00cac00000 page 4k",
                           " 0000000000 - 0040000000 page 2M",
                           "0100000000 - 042e000000 page 4k"}) {
    const BootLog log = Read(TestLog("serial-capture.log") + line + "\n");
    EXPECT_EQ(log.source, MapSource::kHypervisor) << line;
    EXPECT_THAT(log.map.entries(), SizeIs(18)) << line;
    EXPECT_THAT(ReadBootLog(line), IsMalformed("no line like")) << line;
  }
}

TEST(E820BootLogTest, MalformedLineOfAMapThatIsNotUsedDoesNoHarm) {
  EXPECT_THAT(Entries("BIOS-e820: [mem 0x0-0xfff] bogus\n"
                      "(XEN)  [0000000000000000, 0000000000ffffff] (usable)\n"),
              ElementsAre(Ram(0, 0x1000000)));
}

TEST(E820BootLogTest, MessageQuotesHostileBytesEscapedAndCut) {
  const auto log = ReadBootLog(
      absl::StrCat("Xen: [mem 0x0-0xfff] \xff\x01", std::string(500, 'z')));
  EXPECT_THAT(log, IsMalformed("\\xffzzz"));
  EXPECT_LT(log.status().message().size(), 300u);
}

TEST(E820BootLogTest, OverlapIsRefusedWithTheLinesOfTheMap) {
  EXPECT_THAT(ReadBootLog("noise\nXen: [mem 0x0-0x1000] usable\n"
                          "Xen: [mem 0x1000-0x2fff] usable\n"),
              AllOf(IsMalformed("overlaps"),
                    IsMalformed("lines 2 to 3 of the boot log")));
}

TEST(E820BootLogTest, MoreThan128EntriesAreRefused) {
  std::string text;
  for (uint64_t i = 0; i < kMaxE820Entries + 1; ++i) {
    absl::StrAppend(&text, "Xen: [mem 0x", absl::Hex(i * 0x1000), "-0x",
                    absl::Hex(i * 0x1000 + 0xfff), "] usable\n");
  }
  EXPECT_THAT(ReadBootLog(text), IsMalformed("129 entries"));
}

TEST(E820BootLogTest, LogAbove16MiBIsRefused) {
  std::string text = "Xen: [mem 0x0-0xfff] usable\n";
  text.resize(kMaxBootLogBytes, '\n');
  EXPECT_THAT(ReadBootLog(text), IsOk());
  text.push_back('\n');
  EXPECT_THAT(ReadBootLog(text), IsMalformed("more than 16 MiB"));
}

}  // namespace
}  // namespace simvisor
