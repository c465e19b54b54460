#include "domain/host/dom0_memory.h"

#include <optional>

#include "domain/guest/boot_log.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e820_testing.h"
#include "tests/status_matchers.h"

namespace simvisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A machine with RAM [0, 636 KiB) and [1 MiB, `end`).
BootLog Machine(uint64_t end, MapSource source) {
  BootLog log;
  log.map = MakeMap({Ram(0, 0x9f000), Ram(kMiB, end)});
  log.source = source;
  return log;
}

TEST(Dom0MemoryTest, SizeWithoutAWordIs4GiBOrAQuarter) {
  Dom0Memory dom0 = ChooseDom0Memory(Machine(64 * kGiB, MapSource::kHypervisor),
                                     std::nullopt, std::nullopt);
  EXPECT_EQ(dom0.memory, GiBs(4));
  EXPECT_EQ(dom0.max_memory, GiBs(64) - PageCount(0x61));
  EXPECT_THAT(dom0.notes, IsEmpty());
  dom0 = ChooseDom0Memory(Machine(kGiB, MapSource::kHypervisor), std::nullopt,
                          std::nullopt);
  EXPECT_EQ(dom0.memory, PageCount((kPagesPerGiB - 0x61) / 4));
}

TEST(Dom0MemoryTest, LogCountsUnlessTheUserSaysOtherwise) {
  BootLog log = Machine(64 * kGiB, MapSource::kHypervisor);
  log.dom0_memory = GiBs(2);
  log.dom0_max_memory = GiBs(3);
  Dom0Memory dom0 = ChooseDom0Memory(log, std::nullopt, std::nullopt);
  EXPECT_EQ(dom0.memory, GiBs(2));
  EXPECT_EQ(dom0.max_memory, GiBs(3));
  dom0 = ChooseDom0Memory(log, GiBs(1), GiBs(8));
  EXPECT_EQ(dom0.memory, GiBs(1));
  EXPECT_EQ(dom0.max_memory, GiBs(8));
  // The log's limit is not for a user's larger dom0.
  dom0 = ChooseDom0Memory(log, GiBs(4), std::nullopt);
  EXPECT_EQ(dom0.memory, GiBs(4));
  EXPECT_EQ(dom0.max_memory, GiBs(64) - PageCount(0x61));
}

TEST(Dom0MemoryTest, SizeOfALogWhoseMapIsTrimmedShrinksWithANote) {
  // dom0's kernel kept as much RAM as dom0 has, of which the hypervisor needs
  // some.
  BootLog log = Machine(kGiB + 0x61000, MapSource::kDom0);
  ASSERT_EQ(RamOf(log.map), GiBs(1));
  ASSERT_EQ(RamForDomains(log.map), GiBs(1) - PageCount(0x9f));
  for (const bool by_log : {true, false}) {
    log.dom0_memory = by_log ? std::optional<PageCount>(GiBs(1)) : std::nullopt;
    const Dom0Memory dom0 = ChooseDom0Memory(
        log, by_log ? std::nullopt : std::optional<PageCount>(GiBs(1)),
        std::nullopt);
    EXPECT_EQ(dom0.memory, GiBs(1) - PageCount(0x9f));
    EXPECT_THAT(dom0.notes,
                ElementsAre(HasSubstr("261985 pages of memory instead of "
                                      "262144")));
    EXPECT_THAT(CheckDom0Memory(log.map, dom0.memory), IsOk());
  }
}

TEST(Dom0MemoryTest, UsersSizeOnAWholeMapIsLeftToBeRefused) {
  const BootLog log = Machine(kGiB, MapSource::kFirmware);
  const Dom0Memory dom0 = ChooseDom0Memory(log, GiBs(2), std::nullopt);
  EXPECT_EQ(dom0.memory, GiBs(2));
  EXPECT_THAT(dom0.notes, IsEmpty());
  EXPECT_THAT(CheckDom0Memory(log.map, dom0.memory),
              IsError(absl::StatusCode::kResourceExhausted,
                      Reason::kHostMemoryExhausted,
                      HasSubstr("524288 pages of memory: the machine has "
                                "261888")));
}

}  // namespace
}  // namespace simvisor
