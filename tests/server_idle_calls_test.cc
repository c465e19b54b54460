// Streams that wait for their clients give way to others.

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "server/daemon.h"
#include "server/idle_calls.h"
#include "simvisor/v1/memory_service.grpc.pb.h"
#include "tests/scoped_folder.h"
#include "tests/server_fixture.h"

namespace simvisor::server {
namespace {

// A daemon that takes two streams at a time.
class IdleCallsTest : public testing::Test {
 protected:
  // A stream of operations that has answered a message, and waits for another.
  struct Stream {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<v1::StreamMemoryOpsRequest,
                                             v1::StreamMemoryOpsResponse>>
        stream;
    bool Ask() {
      v1::StreamMemoryOpsResponse response;
      return stream->Write({}) && stream->Read(&response);
    }
  };

  void Start(absl::Duration long_enough) {
    KeepGrpcUp();
    const std::string address = "unix:" + folder_ / "s";
    CallBounds bounds;
    bounds.max_calls = 4;
    bounds.idle_long_enough = long_enough;
    auto daemon = Daemon::Start(MakeHost(1, Placement::kLowest),
                                {*ListenAddress::Parse(address)}, SystemClock(),
                                /*faults=*/nullptr, {}, bounds);
    ASSERT_TRUE(daemon.ok()) << daemon.status();
    daemon_ = *std::move(daemon);
    stub_ = v1::MemoryService::NewStub(
        grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  }
  std::unique_ptr<Stream> Open() {
    auto stream = std::make_unique<Stream>();
    stream->stream = stub_->StreamMemoryOps(&stream->context);
    return stream;
  }

  const ScopedFolder folder_;
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<v1::MemoryService::Stub> stub_;
};

TEST_F(IdleCallsTest, OneThatHasWaitedLongestGivesWay) {
  Start(absl::ZeroDuration());
  const auto first = Open();
  ASSERT_TRUE(first->Ask());
  const auto second = Open();
  ASSERT_TRUE(second->Ask());
  ASSERT_TRUE(first->Ask());
  const auto third = Open();
  EXPECT_TRUE(third->Ask());
  EXPECT_FALSE(second->Ask());
  EXPECT_EQ(second->stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(first->Ask());
}

TEST_F(IdleCallsTest, OneThatHasNotWaitedLongStays) {
  Start(absl::Hours(1));
  const auto first = Open();
  ASSERT_TRUE(first->Ask());
  const auto second = Open();
  ASSERT_TRUE(second->Ask());
  const auto third = Open();
  EXPECT_FALSE(third->Ask());
  EXPECT_EQ(Outcome(third->stream->Finish()),
            "RESOURCE_EXHAUSTED CALLS_EXHAUSTED");
  EXPECT_TRUE(first->Ask());
  EXPECT_TRUE(second->Ask());
}

}  // namespace
}  // namespace simvisor::server
