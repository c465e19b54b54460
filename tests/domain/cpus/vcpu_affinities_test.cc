#include "domain/cpus/vcpu_affinities.h"

#include <cstdint>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using testing::HasSubstr;

constexpr uint32_t kCpus = 100;
const CpuRanges kAll = {{0, kCpus}};

class VcpuAffinitiesTest : public testing::Test {
 protected:
  void Set(const std::vector<uint32_t>& vcpus, const CpuRanges* hard,
           const CpuRanges* soft) {
    const auto change = affinities_.Check("test", vcpus, hard, soft);
    ASSERT_THAT(change, IsOk());
    affinities_.Apply(*change);
    EXPECT_THAT(affinities_.CheckInvariants(), IsOk());
  }

  VcpuInfo Of(uint32_t vcpu) { return affinities_.List(vcpu, 1).at(0); }

  const HostCpus cpus_{kCpus};
  VcpuAffinities affinities_{cpus_, 4};
};

TEST_F(VcpuAffinitiesTest, AtFirstAllRunAnywhere) {
  const std::vector<VcpuInfo> listed = affinities_.List(0, 100);
  ASSERT_EQ(listed.size(), 4u);
  for (uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(listed[i].vcpu, i);
    EXPECT_EQ(listed[i].hard, kAll);
    EXPECT_EQ(listed[i].soft, kAll);
    EXPECT_EQ(listed[i].mask_bytes, 0u);
  }
}

TEST_F(VcpuAffinitiesTest, NullLeavesAMaskAsItIs) {
  const CpuRanges pair = {{3, 2}};
  const CpuRanges one = {{9, 1}};
  Set({2}, &pair, nullptr);
  Set({2, 2}, nullptr, &one);
  EXPECT_EQ(Of(2).hard, pair);
  EXPECT_EQ(Of(2).soft, one);
  EXPECT_EQ(Of(2).mask_bytes, 16u);  // two words; the single CPU is shared
  EXPECT_EQ(Of(1).hard, kAll);
}

TEST_F(VcpuAffinitiesTest, NoVcpusStandForAll) {
  const CpuRanges pair = {{3, 2}};
  const CpuRanges none;
  Set({1}, nullptr, &pair);
  Set({}, &pair, nullptr);
  for (uint32_t vcpu = 0; vcpu < 4; ++vcpu) EXPECT_EQ(Of(vcpu).hard, pair);
  EXPECT_EQ(Of(1).soft, pair);
  Set({}, &none, &none);
  for (uint32_t vcpu = 0; vcpu < 4; ++vcpu) EXPECT_EQ(Of(vcpu).hard, kAll);
}

TEST_F(VcpuAffinitiesTest, ListGoesOnFromAnyVcpu) {
  const CpuRanges one = {{9, 1}};
  Set({0, 3}, &one, nullptr);
  const std::vector<VcpuInfo> listed = affinities_.List(1, 2);
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0].vcpu, 1u);
  EXPECT_EQ(listed[0].hard, kAll);
  EXPECT_EQ(affinities_.List(3, 9).at(0).hard, one);
  EXPECT_TRUE(affinities_.List(4, 9).empty());
  EXPECT_TRUE(affinities_.List(~0u, 9).empty());
}

TEST_F(VcpuAffinitiesTest, RefusedChangesNameWhatIsWrong) {
  const CpuRanges one = {{9, 1}};
  const CpuRanges bad = {{kCpus, 1}};
  EXPECT_THAT(
      affinities_.Check("domain 7", {{0, 4}}, &one, nullptr).status(),
      IsError(absl::StatusCode::kInvalidArgument, Reason::kVcpuOutOfRange,
              HasSubstr("domain 7: virtual CPU 4: it has virtual CPUs 0 to "
                        "3")));
  EXPECT_THAT(
      affinities_.Check("domain 7", std::vector<uint32_t>{0}, &one, &bad)
          .status(),
      IsError(absl::StatusCode::kInvalidArgument, Reason::kCpuInvalid,
              HasSubstr("domain 7: soft affinity: CPU 100: the host has CPUs 0 "
                        "to 99")));
}

TEST_F(VcpuAffinitiesTest, OneSpecAppliesToAllAndSeveralToTheFirst) {
  const VcpuAffinitySpec pinned = {.hard = {{5, 1}}, .soft = {}};
  auto same = VcpuAffinities::Create(cpus_, 3, "create", {pinned});
  ASSERT_THAT(same, IsOk());
  for (const VcpuInfo& vcpu : same->List(0, 9)) {
    EXPECT_EQ(vcpu.hard, pinned.hard);
    EXPECT_EQ(vcpu.soft, kAll);
  }
  auto each = VcpuAffinities::Create(cpus_, 3, "create", {pinned, {}});
  ASSERT_THAT(each, IsOk());
  EXPECT_EQ(each->List(0, 9).at(0).hard, pinned.hard);
  EXPECT_EQ(each->List(0, 9).at(1).hard, kAll);
  EXPECT_EQ(each->List(0, 9).at(2).hard, kAll);
  EXPECT_THAT(
      VcpuAffinities::Create(cpus_, 1, "create", {pinned, {}}),
      IsError(absl::StatusCode::kInvalidArgument, Reason::kVcpuOutOfRange,
              HasSubstr("create: 2 affinities for 1 virtual CPUs")));
}

}  // namespace
}  // namespace simvisor
