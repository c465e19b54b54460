// What Linux makes of the memory maps of real machines, one row a boot.
//
// A boot log states its map, and in most cases what the kernel then did with
// it; a row replays that with the options that the kernel was booted with.  A
// log that comes in needs a file in tests/testdata/e820 and a row.

#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "domain/boot_log/boot_log.h"
#include "domain/host/dom0_memory.h"
#include "domain/host/host.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

constexpr uint64_t kGib = kPagesPerGiB;

// What dom0 is booted with; sizes in pages.
struct Dom0 {
  std::optional<uint64_t> memory;                     // none: as the log says
  std::optional<uint64_t> max_memory = std::nullopt;  // none: no ceiling
  std::optional<bool> ibft = std::nullopt;            // none: as the log says
  uint32_t hotplug_gib = 0;
};

// A 64-bit PV guest with e820_host that is looked at in dom0's place; pages.
struct Guest {
  uint64_t memory;
  uint64_t max_memory;
};

struct Row {
  const char* log;
  Dom0 dom0;
  std::optional<Guest> guest;
  // Frames that moved out from under holes, the end of the p2m area, the hint
  // that tools see, and the pfns that have frames in the end.
  uint64_t moved;
  uint64_t area;
  uint64_t last_pfn;
  const char* map;
};

constexpr char kTestdata[] = "tests/testdata/e820/";
constexpr char kExamples[] = "examples/tested-with/";

const Row kRows[] = {
    // Linux 3.8 under Xen 4.1 says what it released, marked and populated.
    {"msi-h61m-8g-dom0.dmesg",
     {.memory = 0x1acb65},
     {},
     283999,
     0x240000,
     0x23fe00,
     "0-9e 100-20000 20200-40000 40200-bad80 badf4-badf6 bae7f-bb000 "
     "100000-1f20c4"},
    // Its kernel, with dom0_mem=max:4G, ends its map at pfn 0x135af2.
    {"serial-capture.log",
     {.memory = 1014568, .max_memory = 4 * kGib},
     {},
     185882,
     0x140000,
     0x135af2,
     "0-9a 100-20000 20200-40000 40200-ca61f ca663-ca9b7 cabff-cac00 "
     "100000-12d61a"},
    // Size and maximum are in the log, too.
    {"serial-capture.log",
     {},
     {},
     185882,
     0x140000,
     0x135af2,
     "0-9a 100-20000 20200-40000 40200-ca61f ca663-ca9b7 cabff-cac00 "
     "100000-12d61a"},
    // The hypervisor's map, so a kernel of today reserves the iBFT area.
    {"mini-pc-64g-hypervisor-map.dmesg",
     {.memory = 63882124 / 4, .hotplug_gib = 512},
     {},
     440771,
     0x8000000,
     0xfde300,
     "0-80 100-9a7f a000-a200 a23c-93c7e 9afff-9bff9 9bffd-9bfff "
     "100000-fa6aa6"},
    {"mini-pc-64g-hypervisor-map.dmesg",
     {.memory = 63882124 / 4, .ibft = false, .hotplug_gib = 512},
     {},
     440739,
     0x8000000,
     0xfde300,
     "0-a0 100-9a7f a000-a200 a23c-93c7e 9afff-9bff9 9bffd-9bfff "
     "100000-fa6a86"},
    // The unusable entry from pfn 0x800 to 0x972 is RAM for dom0.
    {"tboot-unusable.dmesg",
     {.memory = kGib},
     {},
     106,
     0x240000,
     0x230000,
     "0-60 68-9e 100-4006a"},
    {"tboot-unusable.dmesg",
     {.memory = kGib, .ibft = true},
     {},
     136,
     0x240000,
     0x230000,
     "0-60 68-80 100-40088"},
    // The RAM at 4 GiB is half a page, and yet the area reaches there.
    {"ram-of-less-than-a-page.dmesg",
     {.memory = kGib, .ibft = false},
     {},
     5880,
     0x800000 / 8,
     0x100000,
     "0-9e 100-249d 249e-4260 429d-5c8c 5cc9-6c44 6c46-78d9 78db-8602 "
     "8605-a82a a83d-b280 c881-416f8"},
    {"ram-of-less-than-a-page.dmesg",
     {.memory = kGib},
     {},
     5910,
     0x800000 / 8,
     0x100000,
     "0-80 100-249d 249e-4260 429d-5c8c 5cc9-6c44 6c46-78d9 78db-8602 "
     "8605-a82a a83d-b280 c881-41716"},
    // A reserved range just below 1 TiB, as all AMD machines have.
    {"host-reserved-above-4g.dmesg",
     {.memory = 4 * kGib},
     {},
     229594,
     0x6c0000,
     0x6b8000,
     "0-96 100-c7f90 100000-1380da"},
    {"host-reserved-above-4g.dmesg",
     {.memory = kGib},
     Guest{4 * kGib, 4 * kGib},
     229488,
     0x140000,
     0x138070,
     "0-c7f90 100000-138070"},
    {"msi-h61m-8g-dom0.dmesg",
     {.memory = kGib},
     Guest{kGib, 2 * kGib},
     131072,
     0x180000,
     0x160000,
     "0-20000 100000-120000"},
    // For a guest, unlike for dom0, unusable is not RAM.
    {"tboot-unusable.dmesg",
     {.memory = kGib},
     Guest{kGib, kGib},
     0,
     0x40000,
     0x40000,
     "0-40000"},
};

// Boots of the scenarios that the linear list was first tested with.
const Row kTestedWith[] = {
    {"dom0-8gib.dmesg",
     {.memory = 8 * kGib, .max_memory = 8 * kGib},
     {},
     262241,
     0x280000,
     0x240061,
     "0-9f 100-c0000 100000-240061"},
    {"dom0-8gib.dmesg",
     {.memory = 8 * kGib, .max_memory = 8 * kGib, .hotplug_gib = 512},
     {},
     262241,
     0x8000000,
     0x240061,
     "0-9f 100-c0000 100000-240061"},
    {"dom0-128gib.dmesg",
     {.memory = 128 * kGib, .max_memory = 128 * kGib},
     {},
     2359393,
     0x2280000,
     0x2240061,
     "0-9f 100-c0000 100000-1000000 1200000-2240061"},
};

std::string Read(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The pfns of `domain` that have frames, as half-open ranges.
std::string FramesOf(Domain& domain, Pfn end) {
  std::string text;
  for (const P2mRun& run : RunsByClass(domain, Pfn(0), end)) {
    if (run.word.Class() != P2mClass::kRam) continue;
    absl::StrAppendFormat(&text, "%s%x-%x", text.empty() ? "" : " ",
                          run.pfns.first.value(), run.pfns.end().value());
  }
  return text;
}

std::optional<PageCount> Pages(std::optional<uint64_t> pages) {
  if (!pages.has_value()) return std::nullopt;
  return PageCount(*pages);
}

void Replay(const Row& row, const std::string& folder) {
  SCOPED_TRACE(absl::StrFormat("%s, dom0 of %s%s", row.log,
                               row.dom0.memory.has_value()
                                   ? absl::StrCat(*row.dom0.memory, " pages")
                                   : "the log's size",
                               row.guest.has_value() ? ", a guest" : ""));
  const auto log = ReadBootLog(Read(folder + row.log));
  ASSERT_THAT(log, IsOk());
  const Dom0Memory dom0 = ChooseDom0Memory(*log, Pages(row.dom0.memory),
                                           Pages(row.dom0.max_memory));
  HostConfig config;
  config.e820 = dom0.machine;
  config.dom0_e820 = log->map;
  config.dom0_memory = dom0.memory;
  config.dom0_max_memory = dom0.max_memory;
  config.dom0_no_ceiling = dom0.no_ceiling;
  config.dom0_reserves_ibft = row.dom0.ibft.value_or(log->dom0_reserves_ibft);
  config.dom0_hotplug_limit_gib = row.dom0.hotplug_gib;
  const auto host = Host::Create(config);
  ASSERT_THAT(host, IsOk());
  std::shared_ptr<Domain> domain = *(*host)->Find(kDom0Id);
  if (row.guest.has_value()) {
    DomainSpec spec = MakeSpec("g", row.guest->memory, row.guest->max_memory);
    spec.e820_host = true;
    domain = MustCreate(**host, spec);
  }
  const auto report = domain->p2m().Summary();
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->remapped.value(), row.moved);
  EXPECT_EQ(report->released.value(), 0u);
  EXPECT_EQ(report->summary.p2m_size, row.area);
  EXPECT_EQ(report->summary.tools_max_pfn, row.last_pfn);
  EXPECT_EQ(FramesOf(*domain, Pfn(report->summary.p2m_size)), row.map);
  EXPECT_THAT((*host)->Audit().findings, testing::IsEmpty());
}

TEST(E820FiguresTest, EveryBootEndsWithTheFiguresOfItsRow) {
  for (const Row& row : kRows) Replay(row, kTestdata);
  for (const Row& row : kTestedWith) Replay(row, kExamples);
}

}  // namespace
}  // namespace simvisor
