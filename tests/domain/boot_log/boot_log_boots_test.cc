// Boot logs that hold more than one machine's boot: several boots, guests'
// consoles, maps that break off.

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "domain/boot_log/boot_log.h"
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

constexpr char kBanner[] =
    "(XEN) Xen version 4.17.4 (Debian 4.17.4-1) (team@debian.org) (gcc)\n";

std::string XensMap(uint64_t gib) {
  return absl::StrCat(
      "(XEN) Xen-e820 RAM map:\n"
      "(XEN)  [0000000000000000, 000000000009ffff] (usable)\n"
      "(XEN)  [0000000000100000, ",
      absl::Hex(gib * kGiB - 1, absl::kZeroPad16), "] (usable)\n");
}

std::string Line(const std::string& tag, uint64_t start, uint64_t end) {
  return absl::StrCat(tag, " [mem 0x", absl::Hex(start), "-0x",
                      absl::Hex(end - 1), "] usable\n");
}

// A kernel's first lines, and its map of RAM below `end`.
std::string KernelBoot(const std::string& tag, uint64_t end) {
  return absl::StrCat("[    0.000000] Linux version 6.1.0 (a@b)\n",
                      "[    0.000000] BIOS-provided physical RAM map:\n",
                      Line(tag, 0, 0xa0000), Line(tag, kMiB, end));
}

TEST(BootLogBootsTest, WordsOfGuestsAreNotXens) {
  for (const std::string guest :
       {"(XEN) HVM4: Linux version 3.17 (a@b)\n"
        "(XEN) HVM4: Command line: root=/dev/xvda dom0_mem=5G\n"
        "(XEN) HVM4: BIOS-provided physical RAM map:\n"
        "(XEN) HVM4: BIOS-e820: [mem 0x0-0x9ffff] usable\n",
        "(d1) Linux version 3.17 (a@b)\n(d1) Xen version 4.17 (x)\n"
        "(d1) Xen: [mem 0x0-0xfffff] usable\n"
        "(XEN) (d1) Command line: dom0_mem=5G\n"}) {
    const std::string own =
        absl::StrCat(kBanner, "(XEN) Command line: dom0_mem=1G,max:2G\n",
                     XensMap(8), KernelBoot("Xen:", 2 * kGiB));
    for (const std::string& text : {own + guest, guest + own}) {
      const BootLog log = Read(text);
      EXPECT_EQ(log.map.EndPage(), Pfn(8 * kPagesPerGiB)) << guest;
      EXPECT_EQ(log.dom0_memory, GiBs(1)) << guest;
      EXPECT_EQ(log.dom0_max_memory, GiBs(2)) << guest;
      EXPECT_THAT(log.notes, ElementsAre(HasSubstr("dom0's map"))) << guest;
    }
    // The start of Xen's own log is lost.
    EXPECT_THAT(ReadBootLog(guest), IsMalformed("no line like")) << guest;
  }
}

TEST(BootLogBootsTest, VersionLineOfAPvhDom0DoesNotStartABoot) {
  const BootLog log = Read(absl::StrCat(
      kBanner, "(XEN) Command line: dom0=pvh dom0_mem=1G\n", XensMap(8),
      KernelBoot("Xen:", 8 * kGiB), "[    0.000000] Xen version 4.17.\n"));
  EXPECT_EQ(log.dom0_memory, GiBs(1));
}

TEST(BootLogBootsTest, Dom0SizeComesFromTheBootWithTheChosenMap) {
  // The second boot ends before its map.
  const std::string first = absl::StrCat(
      kBanner, "(XEN) Command line: dom0_mem=1G,max:2G\n", XensMap(8));
  const std::string second =
      absl::StrCat(kBanner, "(XEN) Command line: dom0_mem=3G,max:3G\n");
  BootLog log = Read(first + second);
  EXPECT_EQ(log.dom0_memory, GiBs(1));
  EXPECT_EQ(log.dom0_max_memory, GiBs(2));
  log = Read(first + second + XensMap(4));
  EXPECT_EQ(log.map.EndPage(), Pfn(4 * kPagesPerGiB));
  EXPECT_EQ(log.dom0_memory, GiBs(3));
}

TEST(BootLogBootsTest, EarlierMapIsUsedIfTheLastOneBreaksOff) {
  const std::string whole =
      absl::StrCat(kBanner, "(XEN) Command line: dom0_mem=1G\n", XensMap(8));
  const std::string begun =
      absl::StrCat(kBanner, "(XEN) Command line: dom0_mem=3G\n",
                   "(XEN) Xen-e820 RAM map:\n"
                   "(XEN)  [0000000000000000, 000000000009ffff] (usable)\n");
  for (const char* rest : {"", "(XEN)  [0000000000100000, 00"}) {
    const BootLog log = Read(absl::StrCat(whole, begun, rest));
    EXPECT_EQ(log.map.EndPage(), Pfn(8 * kPagesPerGiB));
    EXPECT_EQ(log.dom0_memory, GiBs(1));
    EXPECT_THAT(log.notes, ElementsAre(AllOf(
                               HasSubstr("breaks off"),
                               HasSubstr("the map of lines 4 to 5 begins"))));
  }
}

TEST(BootLogBootsTest, IbftAreaComesFromTheBootWithTheChosenMap) {
  const std::string old_kernel =
      "Linux version 3.2.0 (a@b)\n"
      " Xen: 0000000000000000 - 00000000000a0000 (usable)\n"
      " Xen: 0000000000100000 - 0000000040000000 (usable)\n";
  const std::string new_kernel =
      "Linux version 6.12.0 (a@b)\n"
      "Xen: [mem 0x0-0x7ffff] usable\n"
      "Xen: [mem 0x80000-0xfffff] reserved\n"
      "Xen: [mem 0x100000-0x3fffffff] usable\n";
  EXPECT_FALSE(Read(old_kernel).dom0_reserves_ibft);
  EXPECT_TRUE(Read(old_kernel + new_kernel).dom0_reserves_ibft);
  EXPECT_FALSE(Read(new_kernel + old_kernel).dom0_reserves_ibft);
  const std::string xen = absl::StrCat(kBanner, XensMap(8));
  EXPECT_TRUE(Read(absl::StrCat(xen, old_kernel, xen)).dom0_reserves_ibft);
  EXPECT_FALSE(Read(xen + old_kernel).dom0_reserves_ibft);
  // xl dmesg after the dmesg of the same boot.
  EXPECT_FALSE(Read(old_kernel + xen).dom0_reserves_ibft);
}

TEST(BootLogBootsTest, MapWithAMalformedLineSetsNoMaximumAndHasNoSize) {
  const std::string xen = absl::StrCat(kBanner, XensMap(8));
  for (const std::string& end :
       {std::string("Xen: [mem 0x100000-0x3fff"),
        Line("Xen:", kMiB, 2 * kGiB) + Line("Xen:", kGiB, 2 * kGiB)}) {
    const BootLog log = Read(absl::StrCat(xen, Line("Xen:", 0, 0xa0000), end));
    EXPECT_EQ(log.dom0_max_memory, std::nullopt) << end;
    EXPECT_THAT(log.notes, IsEmpty()) << end;
  }
  const BootLog log = Read(absl::StrCat(
      kBanner, "(XEN)  [0000000000000000, 000000000fffffff] (usabel)\n", xen));
  EXPECT_THAT(log.notes, ElementsAre(AllOf(HasSubstr("(malformed)"),
                                           HasSubstr("8388224 KiB of RAM"))));
}

TEST(BootLogBootsTest, MapOfLessRamThanDom0HasLacksLines) {
  const std::string xen =
      absl::StrCat(kBanner, "(XEN) Command line: dom0_mem=4G\n", XensMap(8));
  EXPECT_EQ(Read(xen + KernelBoot("Xen:", 2 * kGiB)).dom0_max_memory,
            std::nullopt);
  EXPECT_NE(Read(xen + KernelBoot("Xen:", 5 * kGiB)).dom0_max_memory,
            std::nullopt);
}

TEST(BootLogBootsTest, MapThatADom0OfAnotherBootShrankSetsNoMaximum) {
  const BootLog log =
      Read(absl::StrCat(kBanner, XensMap(8), KernelBoot("Xen:", 8 * kGiB),
                        KernelBoot("Xen:", 2 * kGiB)));
  EXPECT_EQ(log.dom0_max_memory, std::nullopt);
  EXPECT_THAT(log.notes, IsEmpty());
}

TEST(BootLogBootsTest, ManyBootsAreOneLine) {
  std::string text;
  for (int boot = 0; boot < 30; ++boot) {
    absl::StrAppend(&text, KernelBoot("BIOS-e820:", kGiB + boot * kMiB));
  }
  EXPECT_THAT(Read(text).notes, ElementsAre(HasSubstr("has 30 boots")));
  const std::string xen = absl::StrCat(kBanner, XensMap(8));
  EXPECT_THAT(Read(text + xen).notes,
              ElementsAre(AllOf(HasSubstr("also has 30 maps of the firmware's"),
                                HasSubstr("the last in lines 119 to 120"))));
  for (int boot = 0; boot < 30; ++boot) {
    absl::StrAppend(&text, xen, KernelBoot("Xen:", 2 * kGiB));
  }
  EXPECT_THAT(Read(text).notes,
              ElementsAre(HasSubstr("firmware's"), HasSubstr("30 equal maps"),
                          HasSubstr("dom0's map")));
}

TEST(BootLogBootsTest, MapWhoseFirstLinesAreLostIsNoted) {
  const std::string rest = "BIOS-e820: [mem 0x100000000-0x1ffffffff] usable\n";
  EXPECT_THAT(Read(rest).notes,
              ElementsAre(AllOf(HasSubstr("(lines 1 to 1)"),
                                HasSubstr("begins at 0x100000000"))));
  EXPECT_THAT(Read("BIOS-e820: [mem 0x9f000-0xfffff] reserved\n" + rest).notes,
              ElementsAre(HasSubstr("begins at 0x9f000")));
  // Firmware may keep the first page.
  EXPECT_THAT(Read("BIOS-e820: [mem 0x1000-0x9ffff] usable\n" + rest).notes,
              IsEmpty());
}

}  // namespace
}  // namespace simvisor
