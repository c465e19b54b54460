// Reading boot logs: which lines are of which map, which map counts, and what
// is said of it.

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

std::string TestLog(const std::string& name) {
  std::ifstream file("tests/testdata/e820/" + name);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

BootLog Read(const std::string& text) {
  absl::StatusOr<BootLog> log = ReadBootLog(text);
  EXPECT_THAT(log, IsOk()) << text;
  return log.value_or(BootLog());
}

std::vector<E820Entry> Entries(const std::string& text) {
  return Read(text).map.entries();
}

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
  // The number behind the dash is not of the range.
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

std::string XenBoot(uint64_t gib, const std::string& more) {
  return absl::StrCat("(XEN) Xen version 4.17.4 (Debian 4.17.4-1)\n", more,
                      "(XEN) Xen-e820 RAM map:\n"
                      "(XEN)  [0000000000000000, ",
                      absl::Hex(gib * kGiB - 1, absl::kZeroPad16),
                      "] (usable)\n");
}

TEST(E820BootLogTest, Dom0SizeIsReadFromXensWords) {
  const char kKernel[] = "(XEN)  Dom0 kernel: 64-bit, PAE, lsb, paddr 0x1\n";
  const char kAlloc[] =
      "(XEN) PHYSICAL MEMORY ARRANGEMENT:\n"
      "(XEN)  Dom0 alloc.:   0000000124000000->0000000128000000 (983076 pages "
      "to be allocated)\n";
  const char kRamdisk[] = "(XEN)  Init. ramdisk: 000000012b000000->12b001800\n";
  const char kVirtual[] =
      "(XEN) VIRTUAL MEMORY ARRANGEMENT:\n"
      "(XEN)  Init. ramdisk: ffffffff83000000->ffffffff83001800\n";
  const auto size = [](const std::string& after,
                       const std::string& before = "") {
    return Read(XenBoot(8, before) + after).dom0_memory;
  };
  EXPECT_EQ(size(""), std::nullopt);
  EXPECT_EQ(size(kAlloc), PageCount(983076 + 0x4000));
  EXPECT_EQ(size(absl::StrCat(kAlloc, kVirtual)), PageCount(983076 + 0x4000));
  EXPECT_EQ(size(absl::StrCat(kAlloc, kRamdisk, kVirtual)),
            PageCount(983076 + 0x4000 + 2));
  // The list of dom0's frames is exact, with a word a page.
  const char kList[] = "(XEN)  Phys-Mach map: 0000008000000000->80007a2120\n";
  EXPECT_EQ(size(absl::StrCat(kKernel, kAlloc, kList)), PageCount(1000484));
  EXPECT_EQ(size("(XEN)  Dom0 kernel: 32-bit, PAE, lsb\n"
                 "(XEN)  Phys-Mach map: c1262000->c143be44\n"),
            PageCount(485265));
}

TEST(E820BootLogTest, Dom0SizeIsReadFromXensCommandLine) {
  const auto read = [](const std::string& line) {
    return Read(XenBoot(8, line + "\n"));
  };
  BootLog log = read("(XEN) Command line: placeholder dom0_mem=768M,max:1G x");
  EXPECT_EQ(log.dom0_memory, PageCount(768 * kPagesPerMiB));
  EXPECT_EQ(log.dom0_max_memory, PageCount(kPagesPerGiB));
  log = read("(XEN) Command line: dom0_mem=min:512M dom0_mem=max:2048M");
  EXPECT_EQ(log.dom0_memory, PageCount(2 * kPagesPerGiB));
  log = read("(XEN) Command line: dom0_mem=4194304");
  EXPECT_EQ(log.dom0_memory, PageCount(4 * kPagesPerGiB));
  EXPECT_EQ(log.dom0_max_memory, std::nullopt);
  for (const char* line :
       {"(XEN) Command line: dom0_mem=-1G", "(XEN) Command line: dom0_mem=10%",
        "(XEN) Command line: dom0_mem=99999999999999G",
        "[    0.000000] Command line: root=/dev/sda dom0_mem=1G"}) {
    EXPECT_EQ(read(line).dom0_memory, std::nullopt) << line;
  }
}

TEST(E820BootLogTest, LastOfTwoBootsIsUsedAndTheLogSaysSo) {
  const std::string dom0 = "(XEN)  Phys-Mach map: 8000000000->8000200000\n";
  const BootLog log =
      Read(XenBoot(2, "(XEN) Command line: dom0_mem=1G,max:1G\n") + dom0 +
           XenBoot(4, "(XEN) Command line: dom0_mem=2G\n"));
  EXPECT_THAT(log.map.entries(), ElementsAre(Ram(0, 4 * kGiB)));
  EXPECT_EQ(log.dom0_memory, PageCount(2 * kPagesPerGiB));
  EXPECT_EQ(log.dom0_max_memory, std::nullopt);
  EXPECT_THAT(log.notes,
              ElementsAre(AllOf(HasSubstr("the log has 2 boots"),
                                HasSubstr("lines 9 to 9, 4096 MiB of RAM"),
                                HasSubstr("lines 4 to 4 (2048 MiB of RAM)"))));
}

TEST(E820BootLogTest, TwoBootsOfAKernelAreTwoMapsWithAndWithoutHeadings) {
  const std::string first =
      "Xen: [mem 0x0-0x9ffff] usable\n"
      "Xen: [mem 0x100000-0x1fffff] usable\n";
  const std::string second =
      "Xen: [mem 0x0-0x9dfff] usable\n"
      "Xen: [mem 0x100000-0x2fffff] usable\n";
  const std::string heading = "e820: BIOS-provided physical RAM map:\n";
  for (const std::string& text :
       {first + second, heading + first + heading + second,
        // The ring of messages has lost the first line of the first boot.
        first.substr(first.find('\n') + 1) + second}) {
    const BootLog log = Read(text);
    EXPECT_THAT(log.map.entries(),
                ElementsAre(Ram(0, 0x9e000), Ram(0x100000, 0x300000)))
        << text;
    EXPECT_THAT(log.notes, Contains(HasSubstr("the log has 2 boots"))) << text;
  }
}

TEST(E820BootLogTest, MapThatALogHasTwiceIsOfNoTwoBoots) {
  // As in dmesg and kern.log behind each other.
  const std::string map =
      "Xen: [mem 0x0-0x9dfff] usable\n"
      "Xen: [mem 0x100000-0x2fffff] usable\n";
  const std::string heading = "e820: BIOS-provided physical RAM map:\n";
  EXPECT_THAT(Read(map + heading + map).notes,
              Contains(HasSubstr("the log has 2 equal maps; the last one is "
                                 "used (lines 4 to 5)")));
}

TEST(E820BootLogTest, MapThatIsNotInOrderIsOneMap) {
  const BootLog log = Read(
      "[mem 0x2000-0x2fff] reserved\n"
      "[mem 0x0-0xfff] usable\n"
      "[mem 0x1000-0x1fff] usable\n");
  EXPECT_THAT(log.map.entries(),
              ElementsAre(Ram(0, 0x2000), Reserved(0x2000, 0x3000)));
  EXPECT_THAT(log.notes, IsEmpty());
}

TEST(E820BootLogTest, MapThatTheKernelTrimmedIsUsedWholeWithANote) {
  const std::string whole =
      "BIOS-provided physical RAM map:\n"
      "BIOS-e820: [mem 0x0-0x9ffff] usable\n"
      "BIOS-e820: [mem 0x100000-0x3fffffff] usable\n";
  const std::pair<const char*, const char*> kHeadings[] = {
      {"user-defined", "user"},
      {"modified", "modified"},
      {"extended", "reserve setup_data"}};
  for (const auto& [heading, tag] : kHeadings) {
    const BootLog log =
        Read(absl::StrCat(whole, "e820: ", heading, " physical RAM map:\n",  //
                          tag, ": [mem 0x0-0x9ffff] usable\n",               //
                          tag, ": [mem 0x100000-0x1fffffff] usable\n"));
    EXPECT_EQ(log.map.EndPage(), Pfn(0x40000)) << heading;
    EXPECT_THAT(log.notes,
                ElementsAre(AllOf(HasSubstr("(lines 5 to 6) has 512 MiB less"),
                                  HasSubstr("the firmware's map, which is "
                                            "used"))))
        << heading;
  }
  // A page that the kernel keeps for itself is worth no word.
  EXPECT_THAT(Read(whole + "modified: [mem 0x0-0xfff] reserved\n"
                           "modified: [mem 0x1000-0x9ffff] usable\n"
                           "modified: [mem 0x100000-0x3fffffff] usable\n")
                  .notes,
              IsEmpty());
}

TEST(E820BootLogTest, MapOfDom0sKernelIsUsedWithANoteOnItsRam) {
  const std::string map =
      "Xen: [mem 0x0-0x9ffff] usable\n"
      "Xen: [mem 0x100000-0x3fffffff] usable\n"
      "Xen: [mem 0xfec00000-0xfec00fff] reserved\n"
      "user: [mem 0x0-0x9ffff] usable\n"
      "user: [mem 0x100000-0xfffffff] usable\n";
  BootLog log = Read("BIOS-provided physical RAM map:\n" + map);
  EXPECT_EQ(log.source, MapSource::kDom0);
  EXPECT_THAT(log.notes,
              ElementsAre(HasSubstr("has 768 MiB less RAM"),
                          HasSubstr("only dom0's, whose kernel leaves out")));
  EXPECT_THAT(log.notes[1], HasSubstr("1048192 KiB of RAM"));
  // The hypervisor's lines look the same where people paste them.
  log = Read(map);
  EXPECT_THAT(log.notes,
              ElementsAre(HasSubstr("has 768 MiB less RAM"),
                          HasSubstr("either the hypervisor's or dom0's")));
  // A boot without the hypervisor shows that nothing was left out.
  log = Read(
      "BIOS-e820: [mem 0x0-0x9ffff] usable\n"
      "BIOS-e820: [mem 0x100000-0x3fffffff] usable\n"
      "Xen: [mem 0x0-0x9ffff] usable\n"
      "Xen: [mem 0x100000-0x3fffffff] usable\n");
  EXPECT_THAT(log.notes, ElementsAre(HasSubstr("also has a map")));
}

TEST(E820BootLogTest, MapThatOnlyTheKernelChangedIsBetterThanNone) {
  const BootLog log = Read("user: [mem 0x0-0xfffff] usable\n");
  EXPECT_EQ(log.source, MapSource::kChanged);
  EXPECT_THAT(log.map.entries(), ElementsAre(Ram(0, 0x100000)));
  EXPECT_THAT(log.notes, ElementsAre(HasSubstr("the kernel has changed")));
}

TEST(E820BootLogTest, WordsOnRamThatIsLeftOutAreNoted) {
  const std::string map = "BIOS-e820: [mem 0x0-0x3fffffff] usable\n";
  EXPECT_THAT(Read(map + "WARNING: BIOS bug: CPU MTRRs don't cover all of "
                         "memory, losing 447MB of RAM.\n")
                  .notes,
              ElementsAre(HasSubstr("gives up 447 MB of RAM")));
  EXPECT_THAT(Read("(XEN) Truncating RAM from 33554432kB to 2097152kB\n" +
                   XenBoot(2, ""))
                  .notes,
              IsEmpty());  // of an earlier boot
  EXPECT_THAT(
      Read(XenBoot(2, "(XEN) Truncating RAM from 33554432kB to 2097152kB\n"))
          .notes,
      ElementsAre(HasSubstr("ended at 33554432 kB ends at 2097152 kB")));
  EXPECT_THAT(
      Read(map + "e820: last_pfn = 0x20000 max_arch_pfn = 0x400000000\n"
                 "e820: last_pfn = 0x10000 max_arch_pfn = 0x400000000\n")
          .notes,
      ElementsAre(HasSubstr("ends at pfn 0x20000 (last_pfn)")));
  EXPECT_THAT(
      Read(map + "e820: last_pfn = 0x40000 max_arch_pfn = 0x400000000\n"
                 "e820: last_pfn = 0x10000 max_arch_pfn = 0x400000000\n")
          .notes,
      IsEmpty());
}

TEST(E820BootLogTest, BootWithoutTheHypervisorIsNoted) {
  const BootLog log =
      Read("BIOS-e820: [mem 0x0-0x3fffffff] usable\n" + XenBoot(2, ""));
  EXPECT_EQ(log.source, MapSource::kHypervisor);
  EXPECT_THAT(log.notes, ElementsAre(HasSubstr("also has a map of the "
                                               "firmware's (lines 1 to 1")));
}

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
  // The word, wherever in its line it stands.
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
  // The end of a line is lost, and the next one stands behind it.
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

TEST(E820BootLogTest, OtherLinesThatBeginLikeARangeAreOfNoMap) {
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

TEST(E820BootLogTest, MappingsThatAnOldKernelPrintsAreOfNoMap) {
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
