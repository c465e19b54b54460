#include "domain/cpus/cpu_mask.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/random_seed.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

using Ranges = std::vector<CpuRange>;

CpuMask MustMake(const HostCpus& cpus, const Ranges& ranges) {
  auto mask = cpus.MakeMask("test", ranges);
  EXPECT_THAT(mask, IsOk());
  EXPECT_THAT(cpus.CheckMask(*mask), IsOk());
  return *std::move(mask);
}

TEST(CpuMaskTest, SingleCpusAndAllCpusShareTheirWords) {
  const HostCpus cpus(200);
  for (uint32_t cpu = 0; cpu < 200; ++cpu) {
    const CpuMask mask = MustMake(cpus, {{cpu, 1}});
    EXPECT_EQ(mask.own_bytes(), 0u);
    EXPECT_EQ(mask.Ranges(), (Ranges{{cpu, 1}}));
    EXPECT_FALSE(cpus.IsAll(mask));
    EXPECT_EQ(mask.words().data(), MustMake(cpus, {{cpu, 1}}).words().data());
  }
  for (const Ranges& all : {Ranges{}, Ranges{{0, 200}}, Ranges{{0, 0}},
                            Ranges{{100, 100}, {0, 100}, {7, 1}}}) {
    const CpuMask mask = MustMake(cpus, all);
    EXPECT_TRUE(cpus.IsAll(mask));
    EXPECT_EQ(mask.own_bytes(), 0u);
    EXPECT_EQ(mask.Ranges(), (Ranges{{0, 200}}));
  }
}

TEST(CpuMaskTest, OtherSetsHaveTheirOwnWords) {
  const HostCpus cpus(4096);
  const CpuMask mask = MustMake(cpus, {{4000, 0}, {63, 2}, {60, 4}});
  EXPECT_EQ(mask.own_bytes(), 512u);
  EXPECT_EQ(mask.Ranges(), (Ranges{{60, 5}, {4000, 96}}));
  const CpuMask copy = mask;
  EXPECT_EQ(copy.Ranges(), mask.Ranges());
}

TEST(CpuMaskTest, OnlyCpuOfAHostIsAllOfThem) {
  const HostCpus cpus(1);
  EXPECT_TRUE(cpus.IsAll(MustMake(cpus, {{0, 1}})));
}

TEST(CpuMaskTest, CpuThatTheHostDoesNotHaveIsRefused) {
  const HostCpus cpus(64);
  for (const CpuRange& bad : Ranges{{64, 1},
                                    {63, 2},
                                    {64, 0},
                                    {0, 65},
                                    {1, 0xffffffff},
                                    {0xffffffff, 0xffffffff}}) {
    EXPECT_THAT(cpus.MakeMask("domain 7", {{0, 1}, bad}),
                IsError(absl::StatusCode::kInvalidArgument, Reason::kCpuInvalid,
                        AllOf(testing::StartsWith("domain 7: CPU"),
                              HasSubstr("the host has CPUs 0 to 63"))));
  }
}

TEST(CpuMaskTest, AnyRangesMakeTheirUnion) {
  for (const uint64_t seed : TestSeeds(3)) {
    SCOPED_TRACE(testing::Message() << "SIMVISOR_SEED=" << seed);
    std::mt19937_64 random(seed);
    for (int round = 0; round < 300; ++round) {
      const uint32_t count = 1 + random() % 300;
      const HostCpus cpus(count);
      EXPECT_THAT(cpus.CheckInvariants(), IsOk());
      Ranges asked(1 + random() % 5);
      std::set<uint32_t> expected;
      for (CpuRange& range : asked) {
        range.first = random() % count;
        range.count = random() % (count - range.first + 1);
        const uint32_t end =
            range.count == 0 ? count : range.first + range.count;
        for (uint32_t cpu = range.first; cpu < end; ++cpu) expected.insert(cpu);
      }
      const CpuMask mask = MustMake(cpus, asked);
      std::set<uint32_t> got;
      uint32_t last_end = 0;
      for (const CpuRange& range : mask.Ranges()) {
        // Ascending, and with a gap: else two would have been one.
        EXPECT_TRUE(got.empty() || range.first > last_end);
        last_end = range.first + range.count;
        for (uint32_t i = 0; i < range.count; ++i) got.insert(range.first + i);
      }
      EXPECT_EQ(got, expected);
      const bool shared = got.size() == 1 || got.size() == count;
      EXPECT_EQ(mask.own_bytes(), shared ? 0 : (count + 63) / 64 * 8);
    }
  }
}

}  // namespace
}  // namespace simvisor
