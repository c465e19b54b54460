#include "server/machine/guest_memory_limit.h"

#include "gtest/gtest.h"

namespace simvisor::server {
namespace {

constexpr uint64_t kGib = uint64_t{1} << 30;

TEST(GuestMemoryLimitTest, HalfOfTheMachine) {
  EXPECT_EQ(DefaultGuestMemory({.ram = 16 * kGib}),
            PageCount(8 * kPagesPerGiB));
}

TEST(GuestMemoryLimitTest, TheLowestLimitOfTheSystemCounts) {
  EXPECT_EQ(DefaultGuestMemory({.ram = 16 * kGib, .cgroup = 2 * kGib}),
            PageCount(kPagesPerGiB));
  EXPECT_EQ(DefaultGuestMemory({.ram = 16 * kGib, .data = 4 * kGib}),
            PageCount(2 * kPagesPerGiB));
  EXPECT_EQ(DefaultGuestMemory({.ram = 16 * kGib, .address_space = 8 * kGib}),
            PageCount(2 * kPagesPerGiB));
}

TEST(GuestMemoryLimitTest, IsNeverNone) {
  EXPECT_EQ(DefaultGuestMemory({.ram = 16 * kGib, .cgroup = 0}), PageCount(1));
}

TEST(GuestMemoryLimitTest, ThisSystemSaysHowMuchItHas) {
  EXPECT_LT(ReadSystemMemory().ram, SystemMemory::kUnlimited);
}

TEST(GuestMemoryLimitTest, MemoryMaxIsANumberOrNone) {
  EXPECT_EQ(ParseMemoryMax("4096\n"), 4096);
  EXPECT_EQ(ParseMemoryMax("max\n"), SystemMemory::kUnlimited);
  EXPECT_EQ(ParseMemoryMax(""), SystemMemory::kUnlimited);
}

}  // namespace
}  // namespace simvisor::server
