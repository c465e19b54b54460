// Idle streams and unread answers make room for other calls.

#include "server/calls/idle_calls.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <deque>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/daemon.h"
#include "simvisor/v1/domain_service.grpc.pb.h"
#include "simvisor/v1/memory_service.grpc.pb.h"
#include "tests/support/scoped_folder.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {
namespace {

class IdleCallsTest : public testing::Test {
 protected:
  // A stream of operations that has answered a message and waits for the next.
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

  // A daemon that accepts two streams at a time.
  void Start(absl::Duration long_enough) {
    CallBounds bounds;
    bounds.max_calls = 4;
    bounds.idle_long_enough = long_enough;
    Start(bounds);
  }
  void Start(const CallBounds& bounds) {
    KeepGrpcUp();
    const std::string address = "unix:" + folder_ / "s";
    auto daemon = Daemon::Start(MakeMachine(1, Placement::kScatter),
                                {*ListenAddress::Parse(address)}, {}, bounds);
    ASSERT_TRUE(daemon.ok()) << daemon.status();
    daemon_ = *std::move(daemon);
    // Bandwidth probing would let the client buffer more and more unread data.
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    channel_ = grpc::CreateCustomChannel(
        address, grpc::InsecureChannelCredentials(), arguments);
    stub_ = v1::MemoryService::NewStub(channel_);
  }
  std::unique_ptr<Stream> Open() {
    auto stream = std::make_unique<Stream>();
    stream->stream = stub_->StreamMemoryOps(&stream->context);
    return stream;
  }

  const ScopedFolder folder_;
  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::MemoryService::Stub> stub_;
};

TEST_F(IdleCallsTest, LongestIdleStreamGivesWay) {
  Start(absl::ZeroDuration());
  const auto first = Open();
  ASSERT_TRUE(first->Ask());
  const auto second = Open();
  ASSERT_TRUE(second->Ask());
  ASSERT_TRUE(first->Ask());
  const auto third = Open();
  EXPECT_TRUE(third->Ask());
  EXPECT_FALSE(second->Ask());
  EXPECT_EQ(second->stream->Finish().error_code(), grpc::StatusCode::ABORTED);
  EXPECT_TRUE(first->Ask());
}

TEST_F(IdleCallsTest, StreamThatHasNotWaitedLongStays) {
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

// A stream of the runs of "web".
struct Runs {
  explicit Runs(v1::MemoryService::Stub& stub) {
    v1::ListP2mRunsRequest request;
    request.mutable_domain()->set_name("web");
    reader = stub.ListP2mRuns(&context, request);
  }
  std::string ReadAll() {
    v1::ListP2mRunsResponse response;
    while (reader->Read(&response)) continue;
    return Outcome(reader->Finish());
  }
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<v1::ListP2mRunsResponse>> reader;
};

TEST_F(IdleCallsTest, UnreadAnswersMakeRoom) {
  CallBounds bounds;
  bounds.message_bytes = uint64_t{16} << 20;
  bounds.idle_long_enough = absl::ZeroDuration();
  Start(bounds);
  v1::CreateDomainRequest create;
  create.mutable_spec()->set_name("web");
  create.mutable_spec()->set_memory_pages(64 * kPagesPerMiB);
  grpc::ClientContext context;
  v1::CreateDomainResponse created;
  ASSERT_TRUE(v1::DomainService::NewStub(channel_)
                  ->CreateDomain(&context, create, &created)
                  .ok());
  // More and more streams fill the budget; checks the oldest ones in turn until
  // one has been cancelled.
  std::deque<std::unique_ptr<Runs>> unread;
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  std::string outcome;
  while (!absl::StrContains(outcome, "CALL_STALLED") &&
         absl::Now() < deadline) {
    for (int i = 0; i < 10; ++i) {
      unread.push_back(std::make_unique<Runs>(*stub_));
    }
    if (unread.size() < 300) continue;
    outcome = unread.front()->ReadAll();
    unread.pop_front();
  }
  EXPECT_THAT(outcome, testing::HasSubstr("CALL_STALLED"));
  // Once the others are gone, there is room again.
  unread.clear();
  do {
    outcome = Runs(*stub_).ReadAll();
  } while (outcome != "OK" && absl::Now() < deadline);
  EXPECT_EQ(outcome, "OK");
}

}  // namespace
}  // namespace simvisor::server
