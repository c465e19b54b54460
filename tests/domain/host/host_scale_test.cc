// What huge domains cost while their memory is not fragmented.

#include <unistd.h>

#include <cstdint>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"
#include "tests/support/sanitized.h"

namespace simvisor {
namespace {

constexpr uint64_t kTiB = kPagesPerGiB * 1024;

// Bytes of memory that this process has touched.
int64_t ResidentBytes() {
  int64_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// Sanitizers keep shadow memory beside what the program touches.
constexpr int64_t kMostGrowth = int64_t{kSanitized ? 64 : 8} << 20;

TEST(HostScaleTest, ContiguousTebibyteCostsNoTables) {
  const auto host = MakeHost(2 * kTiB);
  const int64_t before = ResidentBytes();
  const auto domain = MustCreate(*host, MakeSpec("big", kTiB));
  EXPECT_LT(ResidentBytes() - before, kMostGrowth) << "after create";
  for (int round = 0; round < 8; ++round) {
    const PageCount leaves(512 * (1000 + 777 * round));
    ASSERT_THAT(domain->balloon().Down({"balloon down"}, leaves, false),
                IsOk());
    ASSERT_THAT(domain->balloon().Up({"balloon up"}, leaves, false), IsOk());
  }
  EXPECT_THAT(host->Audit().findings, testing::IsEmpty());
  EXPECT_LT(ResidentBytes() - before, kMostGrowth) << "after ballooning";
  const auto freed = host->DestroyDomain(domain->id());
  ASSERT_THAT(freed, IsOk());
  EXPECT_EQ(freed->value(), kTiB);
  EXPECT_LT(ResidentBytes() - before, kMostGrowth) << "after destroy";
  ExpectClean(*host, kDom0Pages);
}

TEST(HostScaleTest, MapWithRamFarAwayCostsOnlyItsPages) {
  const auto host = MakeHost(20000);
  DomainSpec spec = MakeSpec("far", 4000);
  // 16 MiB of RAM just below the widest address.
  spec.e820 = MakeMap({Ram(0, 4000 * kPageSize),
                       Ram(kMaxE820Address - 16 * kMiB, kMaxE820Address)});
  const int64_t before = ResidentBytes();
  const auto created = host->CreateDomain(spec, false, NeverStop);
  EXPECT_LT(ResidentBytes() - before, int64_t{64} << 20);
  EXPECT_THAT(host->Audit().findings, testing::IsEmpty());
}

}  // namespace
}  // namespace simvisor
