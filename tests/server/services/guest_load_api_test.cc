// Calls of GuestLoadService through a real channel.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "simvisor/v1/guest_load_service.grpc.pb.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {
namespace {

using Domains = v1::DomainService::Stub;
using Loads = v1::GuestLoadService::Stub;
using Memory = v1::MemoryService::Stub;

constexpr uint64_t kLoadPages = 32768;  // 128 MiB

class ServerGuestLoadApiTest : public ServerTest {
 protected:
  ServerGuestLoadApiTest() : loads_(v1::GuestLoadService::NewStub(channel_)) {
    EXPECT_EQ(Create(Wanted("writer", kLoadPages), &domain_), "OK");
  }

  void TearDown() override { EXPECT_EQ(AuditFindings(), ""); }

  template <typename Request>
  Request ForDomain() const {
    Request request;
    request.mutable_domain()->set_domid(domain_.domid());
    return request;
  }

  std::string Start(uint64_t pages_per_second, uint64_t pages,
                    v1::LoadPattern pattern = v1::LOAD_PATTERN_HOTSPOT,
                    v1::StartGuestLoadResponse* started = nullptr) {
    auto request = ForDomain<v1::StartGuestLoadRequest>();
    request.mutable_spec()->set_pages_per_second(pages_per_second);
    request.mutable_spec()->set_working_set_pages(pages);
    request.mutable_spec()->set_pattern(pattern);
    request.mutable_spec()->set_seed(5);
    return Call(*loads_, &Loads::StartGuestLoad, request, started);
  }
  std::string Get(v1::GetGuestLoadResponse* load = nullptr,
                  uint64_t first_page = 0) {
    auto request = ForDomain<v1::GetGuestLoadRequest>();
    request.set_first_page(first_page);
    return Call(*loads_, &Loads::GetGuestLoad, request, load);
  }
  std::string Stop(v1::StopGuestLoadResponse* stopped = nullptr) {
    return Call(*loads_, &Loads::StopGuestLoad,
                ForDomain<v1::StopGuestLoadRequest>(), stopped);
  }
  std::string Check(v1::CheckGuestLoadResponse* check = nullptr) {
    return Call(*loads_, &Loads::CheckGuestLoad,
                ForDomain<v1::CheckGuestLoadRequest>(), check);
  }
  static uint64_t CountPages(const v1::GetGuestLoadResponse& load) {
    uint64_t pages = 0;
    for (const v1::PfnExtent& pfns : load.pages()) pages += pfns.count();
    return pages;
  }
  void Tick(int ticks) {
    for (int i = 0; i < ticks; ++i) {
      clock_.AdvanceBy(std::chrono::milliseconds(10));
    }
  }

  std::unique_ptr<Loads> loads_;
  v1::Domain domain_;
};

TEST_F(ServerGuestLoadApiTest, LoadRunsFromItsStartToItsEnd) {
  v1::StartGuestLoadResponse started;
  ASSERT_EQ(Start(1000, 300, v1::LOAD_PATTERN_HOTSPOT, &started), "OK");
  EXPECT_EQ(started.load().spec().pattern(), v1::LOAD_PATTERN_HOTSPOT);
  EXPECT_EQ(started.load().spec().seed(), 5u);
  EXPECT_EQ(started.load().writes(), 0u);
  EXPECT_TRUE(started.load().running());
  Tick(50);
  v1::GetGuestLoadResponse got;
  ASSERT_EQ(Get(&got), "OK");
  EXPECT_EQ(got.load().writes(), 500u);
  EXPECT_EQ(CountPages(got), 300u);
  v1::CheckGuestLoadResponse check;
  ASSERT_EQ(Check(&check), "OK");
  EXPECT_EQ(check.checked_pages(), 300u);
  EXPECT_EQ(check.mismatched_pages(), 0u);
  EXPECT_FALSE(check.has_first_bad_pfn());
  v1::StopGuestLoadResponse stopped;
  ASSERT_EQ(Stop(&stopped), "OK");
  EXPECT_EQ(stopped.load().writes(), 500u);
  EXPECT_FALSE(stopped.load().running());
  EXPECT_EQ(Get(), "FAILED_PRECONDITION GUEST_LOAD_NOT_FOUND");
}

TEST_F(ServerGuestLoadApiTest, PageThatWasOverwrittenIsNamed) {
  ASSERT_EQ(Start(1000, 300), "OK");
  Tick(10);
  v1::GetGuestLoadResponse got;
  ASSERT_EQ(Get(&got, 7), "OK");
  ASSERT_EQ(CountPages(got), 293u);
  auto write = ForDomain<v1::WriteGuestMemoryRequest>();
  write.set_pfn(got.pages(0).first_pfn());
  write.set_offset_bytes(9);
  write.set_data("not the load's");
  ASSERT_EQ(Call(*memory_, &Memory::WriteGuestMemory, write), "OK");
  v1::CheckGuestLoadResponse check;
  ASSERT_EQ(Check(&check), "OK");
  EXPECT_EQ(check.mismatched_pages(), 1u);
  EXPECT_EQ(check.first_bad_pfn(), got.pages(0).first_pfn());
}

TEST_F(ServerGuestLoadApiTest, PausedGuestWritesNothingUntilItIsUnpaused) {
  ASSERT_EQ(Start(1000, 300), "OK");
  Tick(10);
  ASSERT_EQ(Call(*domains_, &Domains::PauseDomain,
                 ForDomain<v1::PauseDomainRequest>()),
            "OK");
  Tick(100);
  v1::GetGuestLoadResponse got;
  ASSERT_EQ(Get(&got), "OK");
  EXPECT_EQ(got.load().writes(), 100u);
  EXPECT_FALSE(got.load().running());
  EXPECT_EQ(Start(1000, 10), "FAILED_PRECONDITION DOMAIN_NOT_RUNNING");
  ASSERT_EQ(Call(*domains_, &Domains::UnpauseDomain,
                 ForDomain<v1::UnpauseDomainRequest>()),
            "OK");
  Tick(10);
  ASSERT_EQ(Get(&got), "OK");
  EXPECT_EQ(got.load().writes(), 200u);
  EXPECT_TRUE(got.load().running());
}

TEST_F(ServerGuestLoadApiTest, WithoutALoadCallsFail) {
  const std::string none = "FAILED_PRECONDITION GUEST_LOAD_NOT_FOUND";
  EXPECT_EQ(Get(), none);
  EXPECT_EQ(Stop(), none);
  EXPECT_EQ(Check(), none);
}

TEST_F(ServerGuestLoadApiTest, BoundsMatchTheApi) {
  EXPECT_EQ(Start(10, (uint64_t{1} << 22) + 1),
            "INVALID_ARGUMENT RANGE_INVALID");
  EXPECT_EQ(Start(10000001, 10), "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  EXPECT_EQ(Start(10, kLoadPages), "RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED");
  EXPECT_EQ(Start(10, 10, static_cast<v1::LoadPattern>(9)),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  v1::StartGuestLoadResponse started;
  EXPECT_EQ(Start(10000000, 10, v1::LOAD_PATTERN_UNSPECIFIED, &started), "OK");
  EXPECT_EQ(started.load().spec().pattern(), v1::LOAD_PATTERN_RANDOM);
  EXPECT_EQ(Start(10, 10), "FAILED_PRECONDITION GUEST_LOAD_RUNNING");
  EXPECT_EQ(Call(*loads_, &Loads::GetGuestLoad, v1::GetGuestLoadRequest()),
            "INVALID_ARGUMENT ARGUMENT_MISSING");
}

TEST_F(ServerGuestLoadApiTest, LoadWithoutNumbersFitsTheGuest) {
  v1::StartGuestLoadResponse started;
  ASSERT_EQ(Start(0, 0, v1::LOAD_PATTERN_RANDOM, &started), "OK");
  EXPECT_EQ(started.load().spec().pages_per_second(), 1000u);
  const uint64_t pages = started.load().spec().working_set_pages();
  // A quarter of what the kernel leaves free.
  EXPECT_LE(pages, kLoadPages / 4);
  EXPECT_GT(pages, kLoadPages / 8);
  v1::GetGuestLoadResponse got;
  ASSERT_EQ(Get(&got), "OK");
  EXPECT_EQ(got.load().spec().working_set_pages(), pages);
}

TEST_F(ServerGuestLoadApiTest, DestroyedDomainTakesItsLoadAlong) {
  ASSERT_EQ(Start(1000, 300), "OK");
  Tick(10);
  ASSERT_EQ(Call(*domains_, &Domains::DestroyDomain,
                 ForDomain<v1::DestroyDomainRequest>()),
            "OK");
  Tick(10);
  EXPECT_EQ(Get(), "NOT_FOUND DOMAIN_NOT_FOUND");
}

}  // namespace
}  // namespace simvisor::server
