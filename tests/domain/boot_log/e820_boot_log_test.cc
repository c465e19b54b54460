// The forms in which boot logs state a memory map.

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
#include "tests/support/extents.h"
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

TEST(E820BootLogTest, RealDom0LogGivesItsSixHoles) {
  const E820Map map = RealMap();
  EXPECT_THAT(map.entries(), SizeIs(22));
  EXPECT_EQ(map.entries().front(), Ram(0, 0x9e000));
  EXPECT_EQ(map.entries().back(), Ram(4 * kGiB, 0x23fe00000));
  EXPECT_EQ(map.EndPage(), Pfn(0x23fe00));
  EXPECT_THAT(Holes(map),
              ElementsAre(Pfns(0x9e, 0x100), Pfns(0x20000, 0x20200),
                          Pfns(0x40000, 0x40200), Pfns(0xbad80, 0xbadf4),
                          Pfns(0xbadf6, 0xbae7f), Pfns(0xbb000, 0x100000)));
  PageCount missing;
  for (const PfnExtent& hole : Holes(map)) missing += hole.count;
  EXPECT_EQ(missing, PageCount(283999));
}

TEST(E820BootLogTest, AllTypesAreRead) {
  EXPECT_THAT(Entries("Xen: [mem 0x0-0xfff] usable\n"
                      "Xen: [mem 0x1000-0x1fff] reserved\n"
                      "Xen: [mem 0x2000-0x2fff] ACPI data\n"
                      "Xen: [mem 0x3000-0x3fff] ACPI NVS\r\n"
                      "Xen: [mem 0x4000-0x4FFF] unusable  \n"),
              ElementsAre(Ram(0, 0x1000), Reserved(0x1000, 0x2000),
                          E820Entry{0x2000, 0x1000, E820Type::kAcpi},
                          E820Entry{0x3000, 0x1000, E820Type::kNvs},
                          Unusable(0x4000, 0x5000)));
}

TEST(E820BootLogTest, TypesThatNoKernelTakesForRamAreReserved) {
  for (const char* type :
       {"type 20", "type 12", "type 4294967295", "(type 12)",
        "persistent (type 7)", "persistent (type 12)", "persistent",
        "persistent RAM (type 7)", "soft reserved", "(soft reserved)",
        "device reserved", "Reserved", "Persistent Memory (legacy)",
        "Unknown E820 type", "type 2", "16   MB device reserved",
        "1.9 GB soft reserved", "  12   GB type 20"}) {
    EXPECT_THAT(Entries(absl::StrCat("BIOS-e820: [mem 0x0-0xfff] usable\n"
                                     "BIOS-e820: [mem 0x1000-0x1fff] ",
                                     type)),
                ElementsAre(Ram(0, 0x1000), Reserved(0x1000, 0x2000)))
        << type;
  }
}

TEST(E820BootLogTest, NewerWordingsOfTheOtherTypesAreRead) {
  EXPECT_THAT(
      Entries("BIOS-e820: [mem 0x0-0xfff]  639   KB kernel usable RAM\n"
              "BIOS-e820: [gap 0x1000-0x1fff]  4   KB ...\n"
              "BIOS-e820: [mem 0x2000-0x2fff]    1.9 GB System RAM\n"
              "BIOS-e820: [mem 0x3000-0x3fff] ACPI Tables\n"
              "BIOS-e820: [mem 0x4000-0x4fff] ACPI Non-volatile Storage\n"
              "BIOS-e820: [mem 0x5000-0x5fff] Unusable memory\n"
              "BIOS-e820: [mem 0x6000-0x6fff] type 1\n"),
      ElementsAre(Ram(0, 0x1000), Ram(0x2000, 0x3000),
                  E820Entry{0x3000, 0x1000, E820Type::kAcpi},
                  E820Entry{0x4000, 0x1000, E820Type::kNvs},
                  Unusable(0x5000, 0x6000), Ram(0x6000, 0x7000)));
}

TEST(E820BootLogTest, ReportedLogWithType20IsRead) {
  const BootLog log = Read(TestLog("type20.dmesg"));
  EXPECT_EQ(log.source, MapSource::kFirmware);
  EXPECT_THAT(log.notes, IsEmpty());
  // The entry of type 20 touches a reserved one, and joins it.
  EXPECT_THAT(log.map.entries(), Contains(Reserved(0x9c41e000, 0x9cfff000)));
  EXPECT_THAT(log.map.entries(), SizeIs(7));
}

TEST(E820BootLogTest, XensMapIsPreferredOverTheFirmwares) {
  const char kFirmware[] =
      "[    0.000000] BIOS-e820: [mem 0x0-0xffff] usable\n"
      "[    0.000000] BIOS-e820: [mem 0x0-0xfff] bogus\n";
  for (const char* tag : {"Xen:", "Xen-e820:"}) {
    EXPECT_THAT(Entries(absl::StrCat(kFirmware, "[    0.000000] ", tag,
                                     " [mem 0x0-0x1fff] usable\n"
                                     "[mem 0x0-0x5fff] usable")),
                ElementsAre(Ram(0, 0x2000)));
  }
}

TEST(E820BootLogTest, UntaggedLinesAreAMapIfThereIsNoOther) {
  EXPECT_THAT(
      Entries("[mem 0x0-0xfff] usable\n"
              "[    0.000000] [mem 0x1000-0x1fff] reserved\n"
              "Jan  1 00:00:00 host kernel: [mem 0x2000-0x2fff] usable\n"
              "[    0.0]  [mem 0x00000000-0x001fffff] page 4k\n"
              "[    0.0] [mem 0x3000-0x3fff] available for PCI devices"),
      SizeIs(3));
}

TEST(E820BootLogTest, OtherRangesOfALogAreIgnored) {
  EXPECT_THAT(
      Entries(
          "e820: update [mem 0x00000000-0x00000fff] usable ==> reserved\n"
          "e820: remove [mem 0x000a0000-0x000fffff] usable\n"
          "[    0.0] BIOS-e820: [mem 0x0-0x1fff] usable\n"
          "  node   0: [mem 0x00001000-0x0009dfff]\n"
          "[    0.0] [mem 0xc0000000-0xfebfffff] available for PCI devices\n"
          "pci 0000:00:02.0: reg 0x10: [mem 0xf7800000-0xf7bfffff 64bit]\n"
          "e820 update range: 0000000000000000 - 0000000000001000 (usable)\n"
          "  #1 [0001000000 - 0001a2ae4c]    TEXT DATA BSS\n"
          "(XEN) SRAT: Node 0 PXM 0 [0000000000000000, 000000007fffffff]\n"
          "(XEN)  0000000000000-000000009f000 type=7 attr=00000000000000f\n"),
      ElementsAre(Ram(0, 0x2000)));
}

TEST(E820BootLogTest, WhateverALogPutsBeforeAMapsNameIsIgnored) {
  for (const char* prefix :
       {"", "[    0.000000] ", "[    0.000000][    T0] ", "<6>[    0.000000] ",
        "<6>", "6,123,0,-;", "kern  :info  : [    0.000000] ",
        "[Sun Nov 29 08:47:50 2026] ", "Nov 29 08:43:20 host kernel: ",
        "Nov 21 08:43:20 host kernel: [    0.000000] ",
        "2026-11-29T08:43:20.123456+00:00 host kernel: ",
        "[    0.000000] host kernel: ", "> > [    0.000000] ",
        "2026-11-29 08:43:20.123 | ", "\xef\xbb\xbf", "\"MESSAGE\" : \"",
        " \t "}) {
    EXPECT_THAT(
        Entries(absl::StrCat(prefix, "Xen: [mem 0x0-0xfff] usable\r\n", prefix,
                             "Xen: [mem 0x1000-0x1fff] type 20\r\n")),
        ElementsAre(Ram(0, 0x1000), Reserved(0x1000, 0x2000)))
        << prefix;
  }
}

TEST(E820BootLogTest, LineOfAJsonLogMayEndInItsOtherMembers) {
  for (const char* end :
       {"\",\"PRIORITY\":\"6\"}", "\"}", "\\n\",\"stream\":\"stdout\"}",
        "\\r\\n\"}", "\\\"}\"}"}) {
    EXPECT_THAT(Entries(absl::StrCat(
                    "{\"MESSAGE\":\"BIOS-e820: [mem 0x0-0xfff] usable", end)),
                ElementsAre(Ram(0, 0x1000)))
        << end;
  }
}

TEST(E820BootLogTest, EmptyRangesAreLeftOutInAllForms) {
  EXPECT_THAT(Entries("Xen: [mem 0x0-0xfff] usable\n"
                      "Xen: [mem 0xf0000-0xeffff] reserved\n"
                      "Xen: [mem 0x100000-0x1fffff] usable\n"),
              ElementsAre(Ram(0, 0x1000), Ram(0x100000, 0x200000)));
  EXPECT_THAT(
      Entries("(XEN)  [0000000000000000, 0000000000000fff] (usable)\n"
              "(XEN)  [00000000000f0000, 00000000000effff] (reserved)\n"),
      ElementsAre(Ram(0, 0x1000)));
}

TEST(E820BootLogTest, MarksOfTheByteOrderAndUtf16AreRead) {
  const std::string map =
      "[mem 0x0-0xfff] usable\r\n[mem 0x1000-0x1fff] reserved\r\n";
  const auto entries = ElementsAre(Ram(0, 0x1000), Reserved(0x1000, 0x2000));
  EXPECT_THAT(Entries("\xef\xbb\xbf" + map), entries);
  std::string little = "\xff\xfe";
  std::string big = "\xfe\xff";
  for (const char c : map) {
    little += {c, '\0'};
    big += {'\0', c};
  }
  EXPECT_THAT(Entries(little), entries);
  EXPECT_THAT(Entries(big), entries);
}

TEST(E820BootLogTest, SpacesOfAWebPageAreSpaces) {
  EXPECT_THAT(Entries("\xc2\xa0Xen:\xc2\xa0[mem\xc2\xa0"
                      "0x0-0x\xe2\x80\x8b"
                      "fff]\xc2\xa0usable\xc2\xa0\n"),
              ElementsAre(Ram(0, 0x1000)));
}

TEST(E820BootLogTest, LineOfAJsonLogMayEndInItsQuotationMark) {
  EXPECT_THAT(Entries("\"MESSAGE\":\"BIOS-e820: [mem 0x0-0xfff] usable\",\n"),
              ElementsAre(Ram(0, 0x1000)));
}

TEST(E820BootLogTest, ColouredLogIsRead) {
  const std::string colored =
      "\x1b[32m[    0.000000] \x1b[0m\x1b[33mXen: \x1b[0m[mem "
      "0x0-0xfff] usable\x1b[0m\n"
      "\x1b[32m[    0.000000] \x1b[0m\x1b[33mXen: \x1b[0m\x1b[1m[mem "
      "0x1000-0x1fff] re\x1b[Kserved\x1b[m\n";
  // As a terminal gets it, and as cat -v, less and log daemons spell it.
  for (const char* escape :
       {"\x1b", "^[", "ESC", "#033", "\\033", "\\u001b", "\\e", "\\x1B",
        "<ESC>", "\xe2\x90\x9b", "\xef\xbf\xbd"}) {
    EXPECT_THAT(Entries(absl::StrReplaceAll(colored, {{"\x1b", escape}})),
                ElementsAre(Ram(0, 0x1000), Reserved(0x1000, 0x2000)))
        << escape;
  }
  EXPECT_THAT(Entries("[32m[    0.000000] [0m[33mXen: [0m[mem 0x0-0xfff] "
                      "usable[0m\n"
                      "[32m[    0.000000] [0m[33mXen: [0m[mem 0x1000-0x1fff] "
                      "reserved[m\n"),
              ElementsAre(Ram(0, 0x1000), Reserved(0x1000, 0x2000)));
}

TEST(E820BootLogTest, NoiseOfASerialLineIsIgnored) {
  EXPECT_THAT(Entries(absl::StrCat(std::string(2, '\0'),
                                   "\x1b[2J\x1b[1;1H\x1b(BXen: [mem 0x0-0xfff] "
                                   "usable\r\r\n"
                                   "\x1b]0;console\x07Xen: [mem 0x1000-0x1fff] "
                                   "reserved",
                                   std::string(1, '\0'), "\r\n")),
              ElementsAre(Ram(0, 0x1000), Reserved(0x1000, 0x2000)));
}

TEST(E820BootLogTest, HypervisorsMapIsReadInItsOlderForm) {
  const BootLog log = Read(TestLog("hypervisor-map-old-form.txt"));
  EXPECT_EQ(log.source, MapSource::kHypervisor);
  EXPECT_EQ(log.first_line, 2u);
  EXPECT_EQ(log.last_line, 19u);
  EXPECT_THAT(log.notes, IsEmpty());
  ASSERT_THAT(log.map.entries(), SizeIs(18));
  // The number after the dash does not belong to the range.
  EXPECT_EQ(log.map.entries().front(), Ram(0, 0x9a800));
  EXPECT_EQ(log.map.entries()[10], Reserved(0xca9b7000, 0xca9e7000));
  EXPECT_EQ(log.map.entries()[11],
            (E820Entry{0xca9e7000, 0x200000, E820Type::kNvs}));
  EXPECT_EQ(log.map.entries().back(), Ram(4 * kGiB, 0x42e000000));
}

TEST(E820BootLogTest, HypervisorsMapIsReadInItsBracketedForm) {
  // Plain, with time stamps of three kinds, quoted, and without its prefix.
  for (const char* prefix :
       {"(XEN) ", "(XEN) [2026-11-29 08:43:20] ", "(XEN) [    0.123456] ",
        "(XEN) [0000001b4a3297f3] ", "[2026-11-29 08:43:20] (XEN) ",
        "> > (XEN) ", ""}) {
    const BootLog log = Read(absl::StrCat(
        prefix, "Xen-e820 RAM map:\n",                                 //
        prefix, " [0000000000000000, 000000000009d7ff] (usable)\n",    //
        prefix, " [000000000009d800, 00000000000fffff] (reserved)\n",  //
        prefix, " [0000000000100000, 00000000001fffff] (type 20)\n",   //
        prefix, "System RAM: 2047MB (2096636kB)\n"));
    EXPECT_EQ(log.source, MapSource::kHypervisor) << prefix;
    EXPECT_THAT(log.map.entries(),
                ElementsAre(Ram(0, 0x9d800), Reserved(0x9d800, 0x200000)))
        << prefix;
  }
}

TEST(E820BootLogTest, FirmwareTableOfXensVerboseLogIsNotItsMap) {
  const BootLog log = Read(
      "(XEN) Initial Xen-e820 RAM map:\n"
      "(XEN)  [0000000000000000, 0000000000ffffff] (usable)\n"
      "(XEN)  [0000000000000000, 000000000000ffff] (reserved)\n"
      "(XEN) Xen-e820 RAM map:\n"
      "(XEN)  [0000000000000000, 000000000000ffff] (reserved)\n"
      "(XEN)  [0000000000010000, 0000000000ffffff] (usable)\n"
      "(XEN) Dom0 memory map:\n"
      "(XEN)  [0000000000000000, 000000000000ffff] (usable)\n");
  EXPECT_EQ(log.source, MapSource::kHypervisor);
  EXPECT_THAT(log.map.entries(),
              ElementsAre(Reserved(0, 0x10000), Ram(0x10000, 0x1000000)));
  EXPECT_THAT(log.notes, IsEmpty());
}

TEST(E820BootLogTest, OlderFormOfLinuxIsReadUnderItsTags) {
  const BootLog log = Read(
      "BIOS-provided physical RAM map:\n"
      " BIOS-e820: 0000000000000000 - 000000000009fc00 (usable)\n"
      " BIOS-e820: 000000000009fc00 - 00000000000a0000 (reserved)\n"
      " BIOS-e820: 00000000000f0000 - 00000000000f0000 (reserved)\n"
      " BIOS-e820: 0000000000100000 - 0000000000200000 type 9\n");
  EXPECT_EQ(log.source, MapSource::kFirmware);
  EXPECT_THAT(log.map.entries(),
              ElementsAre(Ram(0, 0x9fc00), Reserved(0x9fc00, 0xa0000),
                          Reserved(0x100000, 0x200000)));
}

TEST(E820BootLogTest, SerialCaptureGivesTheHostsMapAndDom0sSize) {
  const BootLog log = Read(TestLog("serial-capture.log"));
  EXPECT_EQ(log.source, MapSource::kHypervisor);
  EXPECT_EQ(log.map.EndPage(), Pfn(0x42e000));
  EXPECT_EQ(log.dom0_memory, PageCount(1014568));
  EXPECT_EQ(log.dom0_max_memory, GiBs(4));  // what its kernel kept
  EXPECT_THAT(log.notes,
              ElementsAre(AllOf(HasSubstr("dom0's map (lines 23 to 37)"),
                                HasSubstr("less RAM than the hypervisor's"))));
}

}  // namespace
}  // namespace simvisor
