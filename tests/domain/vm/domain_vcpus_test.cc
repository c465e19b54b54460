// Virtual CPUs of domains on a host.

#include <cstdint>
#include <memory>

#include "domain/host/host.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using testing::HasSubstr;
using Code = absl::StatusCode;

class DomainVcpusTest : public testing::Test {
 protected:
  DomainSpec Spec(uint32_t vcpus) {
    DomainSpec spec = MakeSpec("a", 2000);
    spec.vcpus = vcpus;
    return spec;
  }

  static VcpuInfo VcpuOf(Domain& domain, uint32_t vcpu) {
    auto listed = domain.vcpus().List(vcpu, 1);
    EXPECT_THAT(listed, IsOk());
    return listed->at(0);
  }

  std::unique_ptr<Host> host_ = MakeHost(20000);  // 64 CPUs
  const CpuRanges some_ = {{0, 4}, {6, 1}};
};

TEST_F(DomainVcpusTest, MasksChangeInEveryState) {
  const auto domain = MustCreate(*host_, Spec(2), /*start_paused=*/true);
  EXPECT_THAT(domain->vcpus().SetAffinity({0}, &some_, nullptr), IsOk());
  EXPECT_THAT(domain->Unpause({"unpause"}), IsOk());
  EXPECT_EQ(VcpuOf(*domain, 0).hard, some_);
  EXPECT_THAT(domain->vcpus().SetAffinity({}, nullptr, &some_), IsOk());
  EXPECT_EQ(VcpuOf(*domain, 1).soft, some_);
  EXPECT_EQ(VcpuOf(*domain, 1).mask_bytes, 8u);
  EXPECT_THAT(domain->Pause({"pause"}), IsOk());
  EXPECT_THAT(domain->vcpus().SetAffinity({1}, &some_, &some_), IsOk());
  EXPECT_EQ(VcpuOf(*domain, 1).mask_bytes, 16u);
  ExpectClean(*host_, kDom0Pages + 2000);
}

TEST_F(DomainVcpusTest, Dom0CanBePinned) {
  const auto dom0 = *host_->Find(kDom0Id);
  EXPECT_THAT(dom0->vcpus().SetAffinity({0}, &some_, &some_), IsOk());
  EXPECT_EQ(VcpuOf(*dom0, 0).hard, some_);
  ExpectClean(*host_, kDom0Pages);
}

TEST_F(DomainVcpusTest, RefusedChangeLeavesEveryMask) {
  const auto domain = MustCreate(*host_, Spec(2));
  const CpuRanges bad = {{64, 1}};
  EXPECT_THAT(domain->vcpus().SetAffinity({0, 2}, &some_, nullptr),
              IsError(Code::kInvalidArgument, Reason::kVcpuOutOfRange,
                      HasSubstr("a (1): virtual CPU 2")));
  EXPECT_THAT(domain->vcpus().SetAffinity({}, &some_, &bad),
              IsError(Code::kInvalidArgument, Reason::kCpuInvalid,
                      HasSubstr("a (1): soft affinity: CPU 64")));
  EXPECT_EQ(VcpuOf(*domain, 0).hard, (CpuRanges{{0, 64}}));
}

TEST_F(DomainVcpusTest, DyingDomainHasNone) {
  const auto domain = MustCreate(*host_, Spec(2));
  EXPECT_THAT(domain->vcpus().SetAffinity({}, &some_, nullptr), IsOk());
  EXPECT_THAT(host_->DestroyDomain(domain->id()), IsOk());
  EXPECT_THAT(domain->vcpus().SetAffinity({}, &some_, nullptr),
              IsError(Code::kFailedPrecondition, Reason::kDomainDying,
                      HasSubstr("domain 1 is dying")));
  EXPECT_THAT(domain->vcpus().List(0, 9),
              IsError(Code::kFailedPrecondition, Reason::kDomainDying,
                      HasSubstr("domain 1 is dying")));
}

TEST_F(DomainVcpusTest, SpecMayPinFromTheStart) {
  DomainSpec spec = Spec(3);
  spec.vcpu_affinities = {{.hard = some_, .soft = {{1, 1}}}};
  const auto domain = MustCreate(*host_, spec, /*start_paused=*/true);
  for (uint32_t vcpu = 0; vcpu < 3; ++vcpu) {
    EXPECT_EQ(VcpuOf(*domain, vcpu).hard, some_);
    EXPECT_EQ(VcpuOf(*domain, vcpu).soft, (CpuRanges{{1, 1}}));
  }
}

TEST_F(DomainVcpusTest, SpecThatCannotBeMetLeavesNoDomain) {
  DomainSpec spec = Spec(1);
  spec.vcpu_affinities = {{}, {}};
  EXPECT_THAT(host_->CreateDomain(spec, false, NeverStop),
              IsError(Code::kInvalidArgument, Reason::kVcpuOutOfRange,
                      HasSubstr("create of domain \"a\": 2 affinities")));
  spec.vcpu_affinities = {{.hard = {{64, 1}}, .soft = {}}};
  EXPECT_THAT(host_->CreateDomain(spec, false, NeverStop),
              IsError(Code::kInvalidArgument, Reason::kCpuInvalid,
                      HasSubstr("create of domain \"a\": hard affinity: CPU "
                                "64")));
  ExpectClean(*host_, kDom0Pages);
  EXPECT_EQ(host_->Info().domains, 1u);
}

TEST_F(DomainVcpusTest, HostShowsItsTableOfMasks) {
  HostConfig config;
  config.e820 = E820Map::SingleRam(PageCount(20000));
  config.dom0_memory = PageCount(kDom0Pages);
  config.cpus = 4096;
  const auto host = Host::Create(config);
  ASSERT_THAT(host, IsOk());
  EXPECT_EQ((*host)->Info().cpu_masks.cpus, 4096u);
  EXPECT_EQ((*host)->Info().cpu_masks.table_bytes, 33280u);
  EXPECT_EQ((*host)->Info().cpu_masks.naive_bytes, 2097152u);
  for (const uint32_t cpus : {0u, kMaxHostCpus + 1}) {
    config.cpus = cpus;
    EXPECT_THAT(Host::Create(config),
                IsError(Code::kInvalidArgument, Reason::kCpuInvalid,
                        HasSubstr("1 to 8192")));
  }
}

}  // namespace
}  // namespace simvisor
