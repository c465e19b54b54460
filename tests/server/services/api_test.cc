// Calls through a real channel: what they answer, and how they refuse.

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/domains/domain_pages.h"
#include "tests/server/services/api_requests.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {
namespace {

using testing::AnyOf;
using testing::UnorderedElementsAre;
using Domains = v1::DomainService::Stub;
using Hosts = v1::HostService::Stub;

class ServerApiTest : public ServerTest {
 protected:
  uint32_t NewDomain(const std::string& name, bool paused = false) {
    v1::CreateDomainRequest request = Wanted(name, kPages);
    request.set_start_paused(paused);
    v1::Domain domain;
    EXPECT_EQ(Create(request, &domain), "OK");
    return domain.domid();
  }

  uint64_t FreePages() {
    v1::GetHostResponse response;
    EXPECT_EQ(Call(*hosts_, &Hosts::GetHost, {}, &response), "OK");
    const v1::Host& host = response.host();
    EXPECT_EQ(host.total_pages(),
              host.free_pages() + host.owned_pages() + host.reserved_pages());
    return host.free_pages();
  }

  void TearDown() override { EXPECT_EQ(AuditFindings(), ""); }
};

TEST_F(ServerApiTest, LifeOfADomain) {
  const uint64_t free_before = FreePages();
  v1::Domain made;
  ASSERT_EQ(Create(Wanted("web", kPages), &made), "OK");
  EXPECT_EQ(made.state(), v1::DOMAIN_STATE_RUNNING);
  EXPECT_EQ(made.arch(), v1::ARCH_X86_64);
  EXPECT_EQ(made.memory().current_pages(), kPages);
  EXPECT_EQ(FreePages(), free_before - kPages);

  v1::GetDomainRequest by_name;
  by_name.mutable_domain()->set_name("web");
  v1::GetDomainRequest by_uuid;
  by_uuid.mutable_domain()->set_uuid(made.uuid());
  for (const auto& request : {by_name, by_uuid}) {
    v1::GetDomainResponse got;
    ASSERT_EQ(Call(*domains_, &Domains::GetDomain, request, &got), "OK");
    EXPECT_EQ(got.domain().SerializeAsString(), made.SerializeAsString());
  }

  auto rename = For<v1::RenameDomainRequest>(made.domid());
  rename.set_new_name("mail");
  v1::RenameDomainResponse renamed;
  EXPECT_EQ(Call(*domains_, &Domains::RenameDomain, rename, &renamed), "OK");
  EXPECT_EQ(renamed.domain().name(), "mail");

  v1::PauseDomainResponse paused;
  EXPECT_EQ(Call(*domains_, &Domains::PauseDomain,
                 For<v1::PauseDomainRequest>(made.domid()), &paused),
            "OK");
  EXPECT_EQ(paused.state(), v1::DOMAIN_STATE_PAUSED);

  v1::DestroyDomainResponse destroyed;
  EXPECT_EQ(Call(*domains_, &Domains::DestroyDomain,
                 For<v1::DestroyDomainRequest>(made.domid()), &destroyed),
            "OK");
  EXPECT_EQ(destroyed.freed_pages(), kPages);
  EXPECT_EQ(FreePages(), free_before);
}

TEST_F(ServerApiTest, DomainsAreListedInPages) {
  for (int i = 0; i < 5; ++i) NewDomain("d" + std::to_string(i));
  std::vector<uint32_t> seen;
  v1::ListDomainsRequest request;
  request.set_page_size(2);
  do {
    v1::ListDomainsResponse page;
    ASSERT_EQ(Call(*domains_, &Domains::ListDomains, request, &page), "OK");
    EXPECT_LE(page.domains_size(), 2);
    for (const auto& domain : page.domains()) seen.push_back(domain.domid());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(seen, testing::ElementsAre(0, 1, 2, 3, 4, 5));

  request.set_page_size(1001);
  EXPECT_EQ(Call(*domains_, &Domains::ListDomains, request),
            "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  request.set_page_size(2);
  for (const char* token : {"x", "-1", "32752", "4294967296"}) {
    request.set_page_token(token);
    EXPECT_EQ(Call(*domains_, &Domains::ListDomains, request),
              "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  }
}

TEST_F(ServerApiTest, LargeDomainsMakeShortPages) {
  // 126 entries each: a thousand such domains are 2.7 MB.
  constexpr uint64_t kSmall = 1024;
  v1::CreateDomainRequest request = Wanted("", kSmall);
  request.set_start_paused(true);
  auto* const map = request.mutable_spec()->mutable_e820();
  for (uint64_t i = 0; i < 126; ++i) {
    auto* const entry = map->add_entries();
    entry->set_start_bytes(i << 45);
    entry->set_size_bytes(i == 0 ? kSmall * kPageSize : uint64_t{1} << 44);
    entry->set_type(i == 0 ? v1::E820_TYPE_RAM : v1::E820_TYPE_RESERVED);
  }
  constexpr int kDomains = 1000;
  for (int i = 0; i < kDomains; ++i) {
    request.mutable_spec()->set_name("d" + std::to_string(i));
    ASSERT_EQ(Create(request), "OK") << i;
  }
  int domains = 0;
  v1::ListDomainsRequest list;
  do {
    v1::ListDomainsResponse page;
    ASSERT_EQ(Call(*domains_, &Domains::ListDomains, list, &page), "OK");
    EXPECT_LT(page.ByteSizeLong(), kMaxPageBytes + 8192);
    EXPECT_LT(page.domains_size(), 1000);
    domains += page.domains_size();
    list.set_page_token(page.next_page_token());
  } while (!list.page_token().empty());
  EXPECT_EQ(domains, kDomains + 1);
}

TEST_F(ServerApiTest, CreatesThatAreRefused) {
  const uint64_t free_before = FreePages();
  EXPECT_EQ(Create({}), "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(Create(Wanted("", kPages)), "INVALID_ARGUMENT NAME_INVALID");
  EXPECT_EQ(Create(Wanted("a/b", kPages)), "INVALID_ARGUMENT NAME_INVALID");
  EXPECT_EQ(Create(Wanted("7", kPages)), "INVALID_ARGUMENT NAME_INVALID");
  EXPECT_EQ(Create(Wanted(std::string(3 << 20, 'n'), kPages)),
            "INVALID_ARGUMENT NAME_INVALID");
  EXPECT_EQ(Create(Wanted("a", 0)), "INVALID_ARGUMENT MEMORY_SIZE_INVALID");
  EXPECT_EQ(Create(Wanted("a", 1)), "INVALID_ARGUMENT MEMORY_SIZE_INVALID");
  EXPECT_EQ(Create(Wanted("a", uint64_t{1} << 52)),
            "INVALID_ARGUMENT MEMORY_SIZE_INVALID");
  EXPECT_EQ(Create(Wanted("a", free_before + 1)),
            "RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED");
  EXPECT_EQ(Create(Wanted("Domain-0", kPages)), "ALREADY_EXISTS NAME_IN_USE");

  auto request = Wanted("a", kPages);
  request.mutable_spec()->set_uuid("no-uuid");
  EXPECT_EQ(Create(request), "INVALID_ARGUMENT UUID_INVALID");
  request = Wanted("a", kPages);
  request.mutable_spec()->set_vcpus(8193);
  EXPECT_EQ(Create(request), "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  request = Wanted("a", kPages);
  request.mutable_spec()->set_memory_hotplug_limit_gib(65537);
  EXPECT_EQ(Create(request), "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  request = Wanted("a", kPages);
  request.mutable_spec()->mutable_e820();
  EXPECT_EQ(Create(request), "INVALID_ARGUMENT E820_MALFORMED");
  request = Wanted("a", kPages);
  request.mutable_spec()->add_pci_devices("0a:00.0");
  EXPECT_EQ(Create(request), "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  EXPECT_EQ(FreePages(), free_before);
}

TEST_F(ServerApiTest, OneOfTwoRacingCreatesWins) {
  for (int round = 0; round < 20; ++round) {
    const std::string name = "twin" + std::to_string(round);
    std::string outcomes[2];
    std::vector<std::thread> clients;
    for (std::string& outcome : outcomes) {
      clients.emplace_back([&] { outcome = Create(Wanted(name, kPages)); });
    }
    for (std::thread& client : clients) client.join();
    EXPECT_THAT(outcomes,
                UnorderedElementsAre("OK", "ALREADY_EXISTS NAME_IN_USE"));
  }
}

TEST_F(ServerApiTest, ReferencesThatMatchNoDomain) {
  const auto get = [this](const v1::GetDomainRequest& request) {
    return Call(*domains_, &Domains::GetDomain, request);
  };
  EXPECT_EQ(get({}), "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(get(For<v1::GetDomainRequest>(7)), "NOT_FOUND DOMAIN_NOT_FOUND");
  EXPECT_EQ(get(For<v1::GetDomainRequest>(~0u)), "NOT_FOUND DOMAIN_NOT_FOUND");
  v1::GetDomainRequest request;
  request.mutable_domain()->set_name(std::string(1 << 20, 'n'));
  EXPECT_EQ(get(request), "NOT_FOUND DOMAIN_NOT_FOUND");
  request.mutable_domain()->set_uuid("x");
  EXPECT_EQ(get(request), "INVALID_ARGUMENT UUID_INVALID");
  EXPECT_EQ(Call(*domains_, &Domains::DestroyDomain,
                 For<v1::DestroyDomainRequest>(0)),
            "FAILED_PRECONDITION DOM0_PROTECTED");
}

TEST_F(ServerApiTest, DestroyedFromTwoClientsOneWins) {
  for (int round = 0; round < 20; ++round) {
    const auto request = For<v1::DestroyDomainRequest>(NewDomain("gone"));
    std::string outcomes[2];
    std::vector<std::thread> clients;
    for (std::string& outcome : outcomes) {
      clients.emplace_back(
          [&] { outcome = Call(*domains_, &Domains::DestroyDomain, request); });
    }
    for (std::thread& client : clients) client.join();
    EXPECT_THAT(outcomes, testing::Contains("OK"));
    EXPECT_THAT(outcomes,
                testing::Contains(AnyOf("NOT_FOUND DOMAIN_NOT_FOUND",
                                        "FAILED_PRECONDITION DOMAIN_DYING")));
  }
}

}  // namespace
}  // namespace simvisor::server
