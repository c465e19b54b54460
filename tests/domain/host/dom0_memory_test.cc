#include "domain/host/dom0_memory.h"

#include <optional>

#include "domain/boot_log/boot_log.h"
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

// A machine with RAM [0, 636 KiB) and [1 MiB, `end`).
BootLog MachineLog(uint64_t end, MapSource source) {
  BootLog log;
  log.map = MakeMap({Ram(0, 0x9f000), Ram(kMiB, end)});
  log.source = source;
  return log;
}

TEST(Dom0MemoryTest, SizeWithoutAWordIs4GiBOrAQuarter) {
  Dom0Memory dom0 =
      ChooseDom0Memory(MachineLog(64 * kGiB, MapSource::kHypervisor),
                       std::nullopt, std::nullopt);
  EXPECT_EQ(dom0.memory, GiBs(4));
  EXPECT_EQ(dom0.max_memory, GiBs(64) - PageCount(0x61));
  EXPECT_THAT(dom0.notes, IsEmpty());
  dom0 = ChooseDom0Memory(MachineLog(kGiB, MapSource::kHypervisor),
                          std::nullopt, std::nullopt);
  EXPECT_EQ(dom0.memory, PageCount((kPagesPerGiB - 0x61) / 4));
}

TEST(Dom0MemoryTest, LogCountsUnlessTheUserSaysOtherwise) {
  BootLog log = MachineLog(64 * kGiB, MapSource::kHypervisor);
  log.dom0_memory = GiBs(2);
  log.dom0_max_memory = GiBs(3);
  Dom0Memory dom0 = ChooseDom0Memory(log, std::nullopt, std::nullopt);
  EXPECT_EQ(dom0.memory, GiBs(2));
  EXPECT_EQ(dom0.max_memory, GiBs(3));
  dom0 = ChooseDom0Memory(log, GiBs(1), GiBs(8));
  EXPECT_EQ(dom0.memory, GiBs(1));
  EXPECT_EQ(dom0.max_memory, GiBs(8));
  // The log's limit does not apply to a user's larger dom0.
  dom0 = ChooseDom0Memory(log, GiBs(4), std::nullopt);
  EXPECT_EQ(dom0.memory, GiBs(4));
  EXPECT_EQ(dom0.max_memory, GiBs(64) - PageCount(0x61));
}

TEST(Dom0MemoryTest, SizeBelowLibxlsLeastIsNoted) {
  const BootLog log = MachineLog(64 * kGiB, MapSource::kHypervisor);
  Dom0Memory dom0 =
      ChooseDom0Memory(log, PageCount(4 * kPagesPerMiB), std::nullopt);
  EXPECT_EQ(dom0.memory, PageCount(4 * kPagesPerMiB));
  EXPECT_THAT(dom0.notes,
              ElementsAre(AllOf(HasSubstr("4 MiB (1024 pages)"),
                                HasSubstr("128 MiB (32768 pages)"))));
  dom0 = ChooseDom0Memory(log, PageCount(128 * kPagesPerMiB), std::nullopt);
  EXPECT_THAT(dom0.notes, IsEmpty());
  // A quarter of a small machine.
  dom0 = ChooseDom0Memory(MachineLog(kGiB / 4, MapSource::kHypervisor),
                          std::nullopt, std::nullopt);
  EXPECT_THAT(dom0.notes, ElementsAre(HasSubstr("libxl leaves it")));
}

TEST(Dom0MemoryTest, MaximumBelowTheSizeIsWhatDom0StartsWith) {
  BootLog log = MachineLog(64 * kGiB, MapSource::kHypervisor);
  const auto starts = [&log](std::optional<PageCount> memory,
                             std::optional<PageCount> max_memory) {
    const Dom0Memory dom0 = ChooseDom0Memory(log, memory, max_memory);
    EXPECT_EQ(dom0.max_memory, GiBs(1));
    EXPECT_FALSE(dom0.no_ceiling);
    EXPECT_THAT(dom0.notes,
                ElementsAre(HasSubstr("1024 MiB (262144 pages) of memory "
                                      "instead of 2048 MiB")));
    return dom0.memory;
  };
  // Both from flags.
  EXPECT_EQ(starts(GiBs(2), GiBs(1)), GiBs(1));
  // The size from the log, the maximum from a flag.
  log.dom0_memory = GiBs(2);
  EXPECT_EQ(starts(std::nullopt, GiBs(1)), GiBs(1));
  // Both from the log.
  log.dom0_max_memory = GiBs(1);
  EXPECT_EQ(starts(std::nullopt, std::nullopt), GiBs(1));
  // The log's maximum belongs to the log's size, so it does not limit a user's
  // size.
  const Dom0Memory dom0 = ChooseDom0Memory(log, GiBs(2), std::nullopt);
  EXPECT_EQ(dom0.memory, GiBs(2));
  EXPECT_TRUE(dom0.no_ceiling);
  EXPECT_THAT(dom0.notes, IsEmpty());
}

TEST(Dom0MemoryTest, MachineOfATrimmedMapHasWhatTheHypervisorKeeps) {
  // dom0's kernel kept as much RAM as dom0 has, and the hypervisor needs some
  // of it.
  BootLog log = MachineLog(kGiB + 0x61000, MapSource::kDom0);
  ASSERT_EQ(RamOf(log.map), GiBs(1));
  ASSERT_EQ(RamForDomains(log.map), GiBs(1) - PageCount(0x9f));
  for (const bool by_log : {true, false}) {
    log.dom0_memory = by_log ? std::optional<PageCount>(GiBs(1)) : std::nullopt;
    const Dom0Memory dom0 = ChooseDom0Memory(
        log, by_log ? std::nullopt : std::optional<PageCount>(GiBs(1)),
        std::nullopt);
    EXPECT_EQ(dom0.memory, GiBs(1));
    EXPECT_THAT(dom0.machine.entries(),
                ElementsAre(Ram(0, 0x9f000), Ram(kMiB, kGiB + 0x100000)));
    EXPECT_THAT(dom0.notes,
                ElementsAre(AllOf(HasSubstr("159 pages of RAM more"),
                                  HasSubstr("at 0x40061000"))));
    EXPECT_THAT(CheckDom0Memory(dom0.machine, dom0.memory), IsOk());
  }
  // Not if dom0 has more than the kernel kept.
  log.dom0_memory.reset();
  const Dom0Memory dom0 = ChooseDom0Memory(log, GiBs(2), std::nullopt);
  EXPECT_EQ(dom0.memory, GiBs(1));
  EXPECT_THAT(dom0.notes, ElementsAre(HasSubstr("159 pages"),
                                      HasSubstr("1024 MiB (262144 pages) of "
                                                "memory instead of 2048 MiB")));
}

TEST(Dom0MemoryTest, RamBesideATrimmedMapLiesWhereNothingElseDoes) {
  BootLog log;
  log.map = MakeMap({Ram(0, 0x9f000), Ram(kMiB, kGiB + 0x61000),
                     Reserved(kGiB + 0x62000, kGiB + 0x63400),
                     Reserved(0xfec00000, 0xfec01000)});
  log.source = MapSource::kDom0;
  const Dom0Memory dom0 = ChooseDom0Memory(log, GiBs(1), std::nullopt);
  EXPECT_THAT(dom0.machine.entries(),
              Contains(Ram(kGiB + 0x64000, kGiB + 0x103000)));
  // A smaller dom0 does not need more RAM.
  EXPECT_EQ(
      ChooseDom0Memory(log, GiBs(1) - PageCount(0x9f), std::nullopt).machine,
      log.map);
}

TEST(Dom0MemoryTest, UsersSizeOnAWholeMapIsLeftToBeRefused) {
  const BootLog log = MachineLog(kGiB, MapSource::kFirmware);
  const Dom0Memory dom0 = ChooseDom0Memory(log, GiBs(2), std::nullopt);
  EXPECT_EQ(dom0.memory, GiBs(2));
  EXPECT_THAT(dom0.notes, IsEmpty());
  EXPECT_THAT(
      CheckDom0Memory(log.map, dom0.memory),
      IsError(absl::StatusCode::kResourceExhausted,
              Reason::kHostMemoryExhausted,
              HasSubstr("2048 MiB (524288 pages) of memory: the machine "
                        "has 1023 MiB (261888 pages)")));
}

}  // namespace
}  // namespace simvisor
