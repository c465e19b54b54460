// The daemon around its services: addresses, health, reflection, drain.

#include "server/daemon.h"

#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/support/server_fixture.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

using testing::HasSubstr;

class ServerDaemonTest : public ServerTest {
 protected:
  ServerDaemonTest() : health_(grpc::health::v1::Health::NewStub(channel_)) {}

  grpc::health::v1::HealthCheckResponse::ServingStatus Health(
      const std::string& service) {
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    grpc::health::v1::HealthCheckResponse response;
    grpc::ClientContext context;
    const grpc::Status status = health_->Check(&context, request, &response);
    return status.ok() ? response.status()
                       : grpc::health::v1::HealthCheckResponse::SERVICE_UNKNOWN;
  }

  std::unique_ptr<grpc::health::v1::Health::Stub> health_;
};

TEST_F(ServerDaemonTest, ServesAtEveryAddressWithRealPorts) {
  ASSERT_EQ(daemon_->addresses().size(), 2u);
  EXPECT_EQ(daemon_->addresses()[0].ToString(), address_);
  EXPECT_GT(daemon_->addresses()[1].port(), 0);
  for (const ListenAddress& address : daemon_->addresses()) {
    auto stub = v1::HostService::NewStub(grpc::CreateChannel(
        address.GrpcAddress(), grpc::InsecureChannelCredentials()));
    v1::GetHostResponse response;
    EXPECT_EQ(Call(*stub, &v1::HostService::Stub::GetHost, {}, &response),
              "OK");
    EXPECT_EQ(response.host().version(), "0.1.0");
  }
}

TEST_F(ServerDaemonTest, OnlyTheOwnerCanUseTheSocket) {
  struct stat info;
  ASSERT_EQ(stat((folder_ / "s").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
}

TEST_F(ServerDaemonTest, HealthOfTheServerAndOfEachService) {
  using grpc::health::v1::HealthCheckResponse;
  for (const char* service :
       {"", "simvisor.v1.HostService", "simvisor.v1.DomainService",
        "simvisor.v1.MemoryService", "simvisor.v1.AddressSpaceService",
        "simvisor.v1.GuestLoadService", "simvisor.v1.MigrationService",
        "simvisor.v1.FaultService"}) {
    EXPECT_EQ(Health(service), HealthCheckResponse::SERVING) << service;
  }
  EXPECT_EQ(Health("no.such.Service"), HealthCheckResponse::SERVICE_UNKNOWN);
}

TEST_F(ServerDaemonTest, HealthDescriptorIsThereForReflection) {
  EXPECT_NE(
      google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
          "grpc.health.v1.Health"),
      nullptr);
}

TEST_F(ServerDaemonTest, SecondDaemonOnTheSameSocketIsRefused) {
  const auto second = Daemon::Start(MakeMachine(2, Placement::kLowest),
                                    {*ListenAddress::Parse(address_)});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Health(""), grpc::health::v1::HealthCheckResponse::SERVING);
}

TEST_F(ServerDaemonTest, SecondDaemonOnTheSamePortIsRefused) {
  const auto second =
      Daemon::Start(MakeMachine(2, Placement::kLowest),
                    {*ListenAddress::Parse("unix:" + folder_ / "t"),
                     daemon_->addresses()[1]});
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr(daemon_->addresses()[1].ToString()));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "t"));
}

TEST_F(ServerDaemonTest, DrainRemovesTheSocketAndAcceptsNoCalls) {
  EXPECT_EQ(Health(""), grpc::health::v1::HealthCheckResponse::SERVING);
  daemon_->Drain(absl::Seconds(5));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "s"));
  grpc::ClientContext context;
  v1::GetHostResponse response;
  EXPECT_EQ(hosts_->GetHost(&context, {}, &response).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  daemon_ = nullptr;
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(ServerDaemonTest, DrainDoesNotWaitForIdleClients) {
  EXPECT_EQ(Health(""), grpc::health::v1::HealthCheckResponse::SERVING);
  const absl::Time start = absl::Now();
  daemon_->Drain(absl::Seconds(60));
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
}

TEST_F(ServerDaemonTest, DrainCutsStreamsThatOutlastItsGrace) {
  v1::GetMfnListListRequest root_request;
  root_request.mutable_domain()->set_domid(0);
  v1::GetMfnListListResponse root;
  ASSERT_EQ(Call(*memory_, &v1::MemoryService::Stub::GetMfnListList,
                 root_request, &root),
            "OK");
  // The same page again and again, 256 MiB: more than a connection buffers.
  v1::ReadFramesRequest request;
  for (int i = 0; i < 65536; ++i) {
    auto* const extent = request.add_extents();
    extent->set_first_mfn(root.root_mfn());
    extent->set_count(1);
  }
  grpc::ClientContext context;
  const auto reader = hosts_->ReadFrames(&context, request);
  v1::ReadFramesResponse response;
  ASSERT_TRUE(reader->Read(&response));
  daemon_->Drain(absl::Milliseconds(50));
  while (reader->Read(&response)) continue;
  EXPECT_FALSE(reader->Finish().ok());
}

TEST_F(ServerDaemonTest, AddressIsFreeAfterADaemon) {
  daemon_ = nullptr;
  const auto next = Daemon::Start(MakeMachine(2, Placement::kLowest),
                                  {*ListenAddress::Parse(address_)});
  EXPECT_THAT(next, IsOk());
}

}  // namespace
}  // namespace simvisor::server
