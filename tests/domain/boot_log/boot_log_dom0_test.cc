// Which boot of a log is used, and how much memory its dom0 has.

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
  // The list of dom0's frames is exact, with one word per page.
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

TEST(E820BootLogTest, RepeatedMapIsNotASecondBoot) {
  // As when kern.log follows dmesg.
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
  // A page that the kernel keeps for itself is not worth a note.
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
  // The hypervisor's lines look the same when pasted.
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

TEST(E820BootLogTest, MapThatTheKernelChangedIsUsedIfThereIsNoOther) {
  const BootLog log = Read("user: [mem 0x0-0xfffff] usable\n");
  EXPECT_EQ(log.source, MapSource::kChanged);
  EXPECT_THAT(log.map.entries(), ElementsAre(Ram(0, 0x100000)));
  EXPECT_THAT(log.notes, ElementsAre(HasSubstr("the kernel has changed")));
}

TEST(E820BootLogTest, StatementsAboutOmittedRamAreNoted) {
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

}  // namespace
}  // namespace simvisor
