// Virtual CPUs and their affinities through a real channel.

#include <cstdint>
#include <string>
#include <vector>

#include "domain/host/host.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/domains/domain_pages.h"
#include "server/domains/vcpu_pages.h"
#include "tests/server/services/api_requests.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {
namespace {

using Domains = v1::DomainService::Stub;
using Hosts = v1::HostService::Stub;

constexpr uint32_t kHostCpus = 64;

void AddRange(v1::CpuSet* set, uint32_t first, uint32_t count) {
  set->add_ranges()->set_first_cpu(first);
  set->mutable_ranges()->rbegin()->set_count(count);
}

// "0-3,5" for the ranges of a set.
std::string Text(const v1::CpuSet& set) {
  std::string text;
  for (const v1::CpuRange& range : set.ranges()) {
    if (!text.empty()) text += ",";
    text += std::to_string(range.first_cpu());
    if (range.count() > 1) {
      text += "-" + std::to_string(range.first_cpu() + range.count() - 1);
    }
  }
  return text;
}

class ServerVcpuApiTest : public ServerTest {
 protected:
  uint32_t NewDomain(uint32_t vcpus) {
    v1::CreateDomainRequest request = Wanted("web", kPages);
    request.mutable_spec()->set_vcpus(vcpus);
    v1::Domain domain;
    EXPECT_EQ(Create(request, &domain), "OK");
    return domain.domid();
  }

  static v1::SetVcpuAffinityRequest Pin(uint32_t domid,
                                        std::vector<uint32_t> vcpus) {
    v1::SetVcpuAffinityRequest request;
    request.mutable_domain()->set_domid(domid);
    request.mutable_vcpus()->Assign(vcpus.begin(), vcpus.end());
    return request;
  }

  std::string Set(const v1::SetVcpuAffinityRequest& request) {
    return Call(*domains_, &Domains::SetVcpuAffinity, request);
  }

  // Every virtual CPU, in pages of `page_size`, as "HARD / SOFT (BYTES)".
  std::vector<std::string> List(uint32_t domid, uint32_t page_size) {
    std::vector<std::string> listed;
    v1::ListVcpusRequest request;
    request.mutable_domain()->set_domid(domid);
    request.set_page_size(page_size);
    do {
      v1::ListVcpusResponse page;
      EXPECT_EQ(Call(*domains_, &Domains::ListVcpus, request, &page), "OK");
      EXPECT_LE(page.vcpus_size(), page_size == 0 ? 1000 : int(page_size));
      for (const v1::Vcpu& vcpu : page.vcpus()) {
        EXPECT_EQ(vcpu.vcpu(), listed.size());
        listed.push_back(Text(vcpu.hard()) + " / " + Text(vcpu.soft()) + " (" +
                         std::to_string(vcpu.mask_bytes()) + ")");
      }
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    return listed;
  }

  void TearDown() override { EXPECT_EQ(AuditFindings(), ""); }
};

TEST_F(ServerVcpuApiTest, HostShowsItsTableOfMasks) {
  v1::GetHostResponse response;
  ASSERT_EQ(Call(*hosts_, &Hosts::GetHost, {}, &response), "OK");
  const v1::CpuMaskTable& masks = response.host().cpu_masks();
  EXPECT_EQ(masks.cpus(), kHostCpus);
  EXPECT_EQ(masks.rows(), 65u);
  EXPECT_EQ(masks.row_bytes(), 8u);
  EXPECT_EQ(masks.table_bytes(), 520u);
  EXPECT_EQ(masks.naive_bytes(), 512u);
}

TEST_F(ServerVcpuApiTest, MasksChangeOneByOneAndAreListedInPages) {
  const uint32_t domid = NewDomain(5);
  const std::string anywhere = "0-63 / 0-63 (0)";
  EXPECT_THAT(List(domid, 0), testing::Each(anywhere));

  auto pin = Pin(domid, {1, 3});
  AddRange(pin.mutable_hard(), 8, 1);
  AddRange(pin.mutable_hard(), 0, 3);
  AddRange(pin.mutable_hard(), 2, 2);
  EXPECT_EQ(Set(pin), "OK");
  auto soften = Pin(domid, {3});
  AddRange(soften.mutable_soft(), 60, 0);
  EXPECT_EQ(Set(soften), "OK");
  const auto expected = testing::ElementsAre(
      anywhere, "0-3,8 / 0-63 (8)", anywhere, "0-3,8 / 60-63 (16)", anywhere);
  for (const uint32_t page_size : {0, 1, 2, 4, 5, 6}) {
    EXPECT_THAT(List(domid, page_size), expected);
  }

  auto all = Pin(domid, {});
  all.mutable_hard();
  AddRange(all.mutable_soft(), 7, 1);
  EXPECT_EQ(Set(all), "OK");
  EXPECT_THAT(List(domid, 0), testing::Each("0-63 / 7 (0)"));
}

TEST_F(ServerVcpuApiTest, SpecPinsFromTheStart) {
  v1::CreateDomainRequest request = Wanted("web", kPages);
  request.mutable_spec()->set_vcpus(3);
  auto* const first = request.mutable_spec()->add_vcpu_affinities();
  AddRange(first->mutable_hard(), 4, 4);
  v1::Domain domain;
  ASSERT_EQ(Create(request, &domain), "OK");
  EXPECT_THAT(List(domain.domid(), 0), testing::Each("4-7 / 0-63 (8)"));

  request.mutable_spec()->set_name("mail");
  request.mutable_spec()->add_vcpu_affinities();
  ASSERT_EQ(Create(request, &domain), "OK");
  EXPECT_THAT(List(domain.domid(), 0),
              testing::ElementsAre("4-7 / 0-63 (8)", "0-63 / 0-63 (0)",
                                   "0-63 / 0-63 (0)"));

  request.mutable_spec()->set_name("more");
  request.mutable_spec()->set_vcpus(1);
  EXPECT_EQ(Create(request), "INVALID_ARGUMENT VCPU_OUT_OF_RANGE");
  request.mutable_spec()->set_vcpus(2);
  AddRange(first->mutable_hard(), kHostCpus, 1);
  EXPECT_EQ(Create(request), "INVALID_ARGUMENT CPU_INVALID");
  for (int i = 0; i < 8192; ++i) AddRange(first->mutable_soft(), 1, 1);
  first->clear_hard();
  EXPECT_EQ(Create(request), "OK");
  request.mutable_spec()->set_name("even-more");
  AddRange(first->mutable_soft(), 1, 1);
  EXPECT_EQ(Create(request), "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
}

TEST_F(ServerVcpuApiTest, ChangesThatAreRefusedChangeNothing) {
  const uint32_t domid = NewDomain(2);
  EXPECT_EQ(Set({}), "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(Set(Pin(domid, {0})), "INVALID_ARGUMENT ARGUMENT_MISSING");
  auto pin = Pin(domid, {0, 2});
  AddRange(pin.mutable_hard(), 1, 1);
  EXPECT_EQ(Set(pin), "INVALID_ARGUMENT VCPU_OUT_OF_RANGE");
  pin = Pin(domid, {0});
  AddRange(pin.mutable_hard(), 1, 1);
  AddRange(pin.mutable_soft(), 1, ~0u);
  EXPECT_EQ(Set(pin), "INVALID_ARGUMENT CPU_INVALID");
  pin = Pin(domid, std::vector<uint32_t>(8193, 0));
  pin.mutable_hard();
  EXPECT_EQ(Set(pin), "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  pin = Pin(7, {0});
  pin.mutable_hard();
  EXPECT_EQ(Set(pin), "NOT_FOUND DOMAIN_NOT_FOUND");
  EXPECT_THAT(List(domid, 0), testing::Each("0-63 / 0-63 (0)"));
}

TEST_F(ServerVcpuApiTest, ListsThatAreRefused) {
  v1::ListVcpusRequest request;
  EXPECT_EQ(Call(*domains_, &Domains::ListVcpus, request),
            "INVALID_ARGUMENT ARGUMENT_MISSING");
  request.mutable_domain()->set_domid(0);
  request.set_page_size(1001);
  EXPECT_EQ(Call(*domains_, &Domains::ListVcpus, request),
            "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  request.set_page_size(0);
  for (const char* token : {"x", "-1", "4294967296"}) {
    request.set_page_token(token);
    EXPECT_EQ(Call(*domains_, &Domains::ListVcpus, request),
              "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  }
}

TEST(VcpuPagesTest, LargeMasksMakeShortPages) {
  HostConfig config;
  config.e820 = E820Map::SingleRam(PageCount(kPages));
  config.dom0_memory = PageCount(2000);
  config.cpus = 8192;
  const auto host = Host::Create(config);
  ASSERT_TRUE(host.ok()) << host.status();
  DomainSpec spec;
  spec.name = "web";
  spec.memory = PageCount(2000);
  spec.vcpus = 200;
  VcpuAffinitySpec every_second;
  for (uint32_t cpu = 0; cpu < config.cpus; cpu += 2) {
    every_second.hard.push_back({cpu, 1});
    every_second.soft.push_back({cpu + 1, 1});
  }
  spec.vcpu_affinities = {every_second};
  const auto domain = (*host)->CreateDomain(spec, true, NeverStop);
  ASSERT_TRUE(domain.ok()) << domain.status();

  int vcpus = 0;
  v1::ListVcpusRequest request;
  do {
    v1::ListVcpusResponse page;
    const absl::Status status =
        FillVcpuPage(**domain, request, NeverStop, &page);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_LT(page.ByteSizeLong(), kMaxPageBytes + 100000);
    EXPECT_LT(page.vcpus_size(), 200);
    for (const v1::Vcpu& vcpu : page.vcpus()) {
      EXPECT_EQ(vcpu.vcpu(), vcpus++);
      EXPECT_EQ(vcpu.hard().ranges_size(), 4096);
      EXPECT_EQ(vcpu.mask_bytes(), 2048u);
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(vcpus, 200);
}

}  // namespace
}  // namespace simvisor::server
