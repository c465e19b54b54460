// Two daemons, and the calls that tests of migration make.

#ifndef SIMVISOR_TESTS_SERVER_MIGRATION_MIGRATION_FIXTURE_H_
#define SIMVISOR_TESTS_SERVER_MIGRATION_MIGRATION_FIXTURE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "simvisor/v1/migration_service.grpc.pb.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {

class MigrationTest : public ServerTest {
 protected:
  using Migrations = v1::MigrationService::Stub;
  using Domains = v1::DomainService::Stub;
  using Memory = v1::MemoryService::Stub;

  static constexpr uint64_t kPages = 4096;
  static constexpr uint64_t kFrames = 8 * kPagesPerGiB;

  MigrationTest() : migration_(v1::MigrationService::NewStub(channel_)) {
    auto other = Daemon::Start(
        MakeMachine(8, Placement::kScatter, CountTrims(&other_trims_)),
        {*ListenAddress::Parse(other_address_)});
    EXPECT_TRUE(other.ok()) << other.status();
    if (other.ok()) other_ = *std::move(other);
    const auto channel =
        grpc::CreateChannel(other_address_, grpc::InsecureChannelCredentials());
    other_domains_ = v1::DomainService::NewStub(channel);
    other_memory_ = v1::MemoryService::NewStub(channel);
    other_migration_ = v1::MigrationService::NewStub(channel);
  }

  void TearDown() override { EXPECT_EQ(AuditFindings(), ""); }

  v1::MigrateDomainRequest Wish(const std::string& name) const {
    v1::MigrateDomainRequest request;
    request.mutable_domain()->set_name(name);
    request.set_target(other_address_);
    request.set_migration_id("the-one");
    return request;
  }
  std::string Migrate(const v1::MigrateDomainRequest& request,
                      std::vector<v1::MigrateDomainResponse>* all = nullptr) {
    return CallStream(*migration_, &Migrations::MigrateDomain, request, all);
  }

  static std::string Write(Memory& stub, const std::string& name, uint64_t pfn,
                           const std::string& data) {
    v1::WriteGuestMemoryRequest request;
    request.mutable_domain()->set_name(name);
    request.set_pfn(pfn);
    request.set_data(data);
    return Call(stub, &Memory::WriteGuestMemory, request);
  }
  static std::string Read(Memory& stub, const std::string& name, uint64_t pfn,
                          uint32_t length) {
    v1::ReadGuestMemoryRequest request;
    request.mutable_domain()->set_name(name);
    request.set_pfn(pfn);
    request.set_length_bytes(length);
    v1::ReadGuestMemoryResponse response;
    const std::string outcome =
        Call(stub, &Memory::ReadGuestMemory, request, &response);
    return outcome == "OK" ? response.data() : outcome;
  }
  static v1::Domain Get(Domains& stub, const std::string& name) {
    v1::GetDomainRequest request;
    request.mutable_domain()->set_name(name);
    v1::GetDomainResponse response;
    const std::string outcome =
        Call(stub, &Domains::GetDomain, request, &response);
    EXPECT_EQ(outcome, "OK");
    return response.domain();
  }
  static std::string Find(Domains& stub, const std::string& name) {
    v1::GetDomainRequest request;
    request.mutable_domain()->set_name(name);
    return Call(stub, &Domains::GetDomain, request);
  }
  static std::string StateOf(Migrations& stub, const std::string& id) {
    v1::ListMigrationsResponse response;
    EXPECT_EQ(Call(stub, &Migrations::ListMigrations, {}, &response), "OK");
    for (const v1::Migration& migration : response.migrations()) {
      if (migration.migration_id() == id) {
        return v1::MigrationState_Name(migration.state());
      }
    }
    return "none";
  }
  static std::string Resolve(Migrations& stub, const std::string& id,
                             v1::MigrationDecision decision,
                             v1::Migration* resolved = nullptr) {
    v1::ResolveMigrationRequest request;
    request.set_migration_id(id);
    request.set_decision(decision);
    v1::ResolveMigrationResponse response;
    const std::string outcome =
        Call(stub, &Migrations::ResolveMigration, request, &response);
    if (resolved != nullptr) *resolved = response.migration();
    return outcome;
  }
  v1::Host ThisHost() {
    v1::GetHostResponse response;
    EXPECT_EQ(Call(*hosts_, &v1::HostService::Stub::GetHost, {}, &response),
              "OK");
    return response.host();
  }
  uint64_t Owned() { return ThisHost().owned_pages(); }

  const std::string other_address_ = "unix:" + (folder_ / "other");
  std::atomic<int> other_trims_ = 0;
  std::unique_ptr<Daemon> other_;
  std::unique_ptr<Migrations> migration_, other_migration_;
  std::unique_ptr<Domains> other_domains_;
  std::unique_ptr<Memory> other_memory_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SERVER_MIGRATION_MIGRATION_FIXTURE_H_
