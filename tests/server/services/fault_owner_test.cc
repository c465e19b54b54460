// Who may turn fault injection on and off in a daemon that runs.

#include <cstdint>
#include <memory>
#include <string>

#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "simvisor/v1/fault_service.grpc.pb.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {
namespace {

using Faults = v1::FaultService::Stub;

constexpr uint64_t kGuestPages = 4096;

class ServerFaultOwnerTest : public ServerTest {
 protected:
  // Sets the rule that this text describes.
  std::string Add(const std::string& text) {
    v1::AddFaultRequest request;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        text, request.mutable_rule()))
        << text;
    return Call(*owner_, &Faults::AddFault, request);
  }

  // On the daemon's unix socket, as its user.
  const std::unique_ptr<Faults> owner_ = v1::FaultService::NewStub(channel_);
};

TEST_F(ServerFaultOwnerTest, OwnerTurnsFaultsOnAndOffWithoutARestart) {
  v1::SetFaultInjectionRequest request;
  request.set_enabled(true);
  v1::SetFaultInjectionResponse response;
  const auto set = [&] {
    return Call(*owner_, &Faults::SetFaultInjection, request, &response);
  };
  ASSERT_EQ(set(), "OK");
  EXPECT_TRUE(response.changed());
  ASSERT_EQ(set(), "OK");
  EXPECT_FALSE(response.changed());
  ASSERT_EQ(Add("point: 'create.begin' error {}"), "OK");
  EXPECT_EQ(Create(Wanted("web", kGuestPages)), "INTERNAL FAULT_INJECTED");
  ASSERT_EQ(Add("point: 'frame.allocate' error {} skip: 1"), "OK");

  request.set_enabled(false);
  ASSERT_EQ(set(), "OK");
  EXPECT_TRUE(response.changed());
  EXPECT_EQ(response.removed(), 2u);
  EXPECT_EQ(Create(Wanted("web", kGuestPages)), "OK");
  EXPECT_EQ(Add("point: 'create.begin' error {}"),
            "FAILED_PRECONDITION FAULT_INJECTION_DISABLED");
}

TEST_F(ServerFaultOwnerTest, CallersOverTcpMayNotTurnFaultsOnOrOff) {
  const auto faults = v1::FaultService::NewStub(grpc::CreateChannel(
      daemon_->addresses()[1].ToString(), grpc::InsecureChannelCredentials()));
  v1::SetFaultInjectionRequest request;
  EXPECT_EQ(Call(*faults, &Faults::SetFaultInjection, request),
            "PERMISSION_DENIED OWNER_REQUIRED");
  request.set_enabled(true);
  EXPECT_EQ(Call(*faults, &Faults::SetFaultInjection, request),
            "PERMISSION_DENIED OWNER_REQUIRED");
  EXPECT_FALSE(faults_.enabled());
}

}  // namespace
}  // namespace simvisor::server
