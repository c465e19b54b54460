// How unary calls and streams begin, run and end, over a real channel.

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "base/error.h"
#include "domain/vm/domain_types.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "server/calls/call_runner.h"
#include "server/calls/progress.h"
#include "server/calls/raw_service.h"
#include "server/calls/stream_call.h"
#include "server/calls/unary_call.h"
#include "simvisor/v1/host_service.grpc.pb.h"
#include "tests/support/scoped_folder.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

using UnaryBody = std::function<absl::Status(StopCheck)>;
using Step = std::function<absl::StatusOr<Progress>(v1::ReadFramesResponse*)>;

// Reports when it is destroyed.
struct Source {
  Step step;
  std::shared_ptr<void> end;
  absl::StatusOr<Progress> Next(v1::ReadFramesResponse* response) {
    return step(response);
  }
};

using FakeServiceBase =
    RawService<v1::HostService,
               v1::HostService::WithRawCallbackMethod_AuditHost,
               v1::HostService::WithRawCallbackMethod_ReadFrames>;

// AuditHost runs a body, ReadFrames streams what `step` makes.
class FakeService final : public FakeServiceBase {
 public:
  explicit FakeService(CallRunner* runner) : runner_(runner) {}

  grpc::ServerUnaryReactor* AuditHost(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* in,
                                      grpc::ByteBuffer* out) override {
    absl::MutexLock lock(&mu_);
    return RunOnPool(
        runner_, {context, in, out}, "AuditHost",
        [body = body_](const v1::AuditHostRequest&, v1::AuditHostResponse*,
                       StopCheck stop) { return body(stop); });
  }
  RawWriteReactor* ReadFrames(grpc::CallbackServerContext* context,
                              const grpc::ByteBuffer* in) override {
    auto end =
        std::shared_ptr<void>(nullptr, [this](void*) { source_gone.Notify(); });
    return StartStream(
        runner_, context, in, "ReadFrames",
        [this, end](const v1::ReadFramesRequest&) -> absl::StatusOr<Source> {
          if (!creation.ok()) return creation;
          return Source{step, end};
        });
  }

  // For calls that arrive from now on.
  void SetBody(UnaryBody body) {
    absl::MutexLock lock(&mu_);
    body_ = std::move(body);
  }

  // Set before a stream is opened.
  Step step;
  absl::Status creation;
  absl::Notification source_gone;

 private:
  CallRunner* const runner_;
  absl::Mutex mu_;
  UnaryBody body_ ABSL_GUARDED_BY(mu_);
};

class ServerCallTest : public testing::Test {
 protected:
  ServerCallTest() : service_(&runner_) {
    KeepGrpcUp();
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    const std::string address = "unix:" + folder_ / "s";
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    server_ = builder.BuildAndStart();
    channel_ = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    stub_ = v1::HostService::NewStub(channel_);
  }
  ~ServerCallTest() override {
    server_->Shutdown(system_clock::now());
    server_->Wait();
  }

  grpc::Status Audit(grpc::ClientContext* context) {
    v1::AuditHostResponse response;
    return stub_->AuditHost(context, {}, &response);
  }

  static std::string ReasonIn(const grpc::Status& status) {
    google::rpc::Status details;
    google::rpc::ErrorInfo info;
    if (!details.ParseFromString(status.error_details()) ||
        details.details_size() != 1 || !details.details(0).UnpackTo(&info)) {
      return "none";
    }
    return info.reason();
  }

  const ScopedFolder folder_;
  const std::unique_ptr<Machine> machine_ = MakeMachine(1, Placement::kLowest);
  CallRunner runner_{machine_.get(), 1};
  FakeService service_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::HostService::Stub> stub_;
};

// Works until it is stopped, and keeps the reason.
struct Loop {
  absl::Notification started;
  absl::Notification stopped;
  absl::Status why;

  absl::Status Run(StopCheck stop) {
    started.Notify();
    absl::Status result;
    while (result.ok()) result = stop();
    why = result;
    stopped.Notify();  // the test may end, and this object with it
    return result;
  }
};

TEST_F(ServerCallTest, UnaryAnswersOkAndErrors) {
  service_.SetBody([](StopCheck) { return absl::OkStatus(); });
  grpc::ClientContext first;
  EXPECT_TRUE(Audit(&first).ok());
  service_.SetBody([](StopCheck) {
    return MakeError(absl::StatusCode::kAlreadyExists, Reason::kNameInUse,
                     "domain 7: name taken");
  });
  grpc::ClientContext second;
  const grpc::Status status = Audit(&second);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(status.error_message(), "domain 7: name taken");
  EXPECT_EQ(ReasonIn(status), "NAME_IN_USE");
}

TEST_F(ServerCallTest, CancelStopsALoopOnThePool) {
  Loop loop;
  service_.SetBody([&loop](StopCheck stop) { return loop.Run(stop); });
  grpc::ClientContext context;
  std::thread client([&] {
    EXPECT_EQ(Audit(&context).error_code(), grpc::StatusCode::CANCELLED);
  });
  loop.started.WaitForNotification();
  context.TryCancel();
  loop.stopped.WaitForNotification();
  client.join();
  EXPECT_EQ(loop.why.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(ReasonOf(loop.why), "CANCELLED");
}

TEST_F(ServerCallTest, DeadlineStopsALoopOnThePool) {
  Loop loop;
  service_.SetBody([&loop](StopCheck stop) { return loop.Run(stop); });
  grpc::ClientContext context;
  context.set_deadline(system_clock::now() + milliseconds(100));
  EXPECT_EQ(Audit(&context).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // DEADLINE_EXCEEDED or CANCELLED, depending on whose clock is first: a client
  // that gives up cancels the call.
  loop.stopped.WaitForNotification();
}

TEST_F(ServerCallTest, CallThatIsCancelledInTheQueueDoesNotRun) {
  Loop loop;
  service_.SetBody([&loop](StopCheck stop) { return loop.Run(stop); });
  grpc::ClientContext running;
  std::thread first([&] { Audit(&running); });
  loop.started.WaitForNotification();

  // The pool's one thread is busy, so this one waits behind it.
  std::atomic<bool> ran = false;
  service_.SetBody([&ran](StopCheck) {
    ran = true;
    return absl::OkStatus();
  });
  grpc::ClientContext waiting;
  waiting.set_deadline(system_clock::now() + milliseconds(50));
  EXPECT_EQ(Audit(&waiting).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  running.TryCancel();
  first.join();
  absl::Notification idle;
  runner_.pool.Submit([&idle] { idle.Notify(); });
  idle.WaitForNotification();
  EXPECT_FALSE(ran);
}

TEST_F(ServerCallTest, ShutdownStopsALoopOnThePool) {
  Loop loop;
  service_.SetBody([&loop](StopCheck stop) { return loop.Run(stop); });
  grpc::ClientContext context;
  std::thread client([&] { EXPECT_FALSE(Audit(&context).ok()); });
  loop.started.WaitForNotification();
  server_->Shutdown(system_clock::now() + milliseconds(10));
  EXPECT_TRUE(loop.stopped.HasBeenNotified());
  client.join();
}

TEST_F(ServerCallTest, StreamSendsChunksInOrderAndEnds) {
  int made = 0;
  service_.step = [&made](v1::ReadFramesResponse* response) {
    // A leftover of the last chunk would show as a second frame.
    response->add_frames()->set_mfn(made);
    return ++made < 100 ? Progress::kMore : Progress::kLast;
  };
  grpc::ClientContext context;
  const auto reader = stub_->ReadFrames(&context, {});
  v1::ReadFramesResponse chunk;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(reader->Read(&chunk)) << i;
    ASSERT_EQ(chunk.frames_size(), 1);
    EXPECT_EQ(chunk.frames(0).mfn(), static_cast<uint64_t>(i));
  }
  EXPECT_FALSE(reader->Read(&chunk));
  EXPECT_TRUE(reader->Finish().ok());
  service_.source_gone.WaitForNotification();
}

TEST_F(ServerCallTest, StreamThatFailsSendsWhatCameBefore) {
  int made = 0;
  service_.step =
      [&made](v1::ReadFramesResponse* response) -> absl::StatusOr<Progress> {
    if (made++ < 2) return Progress::kMore;
    response->add_frames();
    return MakeError(absl::StatusCode::kOutOfRange, Reason::kMfnOutOfRange,
                     "mfn 0x7");
  };
  grpc::ClientContext context;
  const auto reader = stub_->ReadFrames(&context, {});
  v1::ReadFramesResponse chunk;
  EXPECT_TRUE(reader->Read(&chunk));
  EXPECT_TRUE(reader->Read(&chunk));
  EXPECT_FALSE(reader->Read(&chunk));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(ReasonIn(status), "MFN_OUT_OF_RANGE");
  service_.source_gone.WaitForNotification();
}

TEST_F(ServerCallTest, StreamOfARefusedRequestFails) {
  service_.creation = MakeError(absl::StatusCode::kInvalidArgument,
                                Reason::kRangeInvalid, "extents[0]");
  grpc::ClientContext context;
  const auto reader = stub_->ReadFrames(&context, {});
  v1::ReadFramesResponse chunk;
  EXPECT_FALSE(reader->Read(&chunk));
  EXPECT_EQ(ReasonIn(reader->Finish()), "RANGE_INVALID");
  service_.source_gone.WaitForNotification();
}

absl::StatusOr<Progress> Endless(v1::ReadFramesResponse* response) {
  response->add_frames()->set_content(std::string(100000, 'x'));
  return Progress::kMore;
}

TEST_F(ServerCallTest, CancelEndsAnEndlessStream) {
  service_.step = Endless;
  grpc::ClientContext context;
  const auto reader = stub_->ReadFrames(&context, {});
  v1::ReadFramesResponse chunk;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(reader->Read(&chunk));
  context.TryCancel();
  service_.source_gone.WaitForNotification();
  while (reader->Read(&chunk)) continue;
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ServerCallTest, DeadlineEndsAnUnreadStream) {
  service_.step = Endless;
  grpc::ClientContext context;
  context.set_deadline(system_clock::now() + milliseconds(100));
  const auto reader = stub_->ReadFrames(&context, {});
  // By then the write in flight is stuck, and the pool's thread is free.
  absl::Notification idle;
  runner_.pool.Submit([&idle] { idle.Notify(); });
  idle.WaitForNotification();
  service_.source_gone.WaitForNotification();
  v1::ReadFramesResponse chunk;
  while (reader->Read(&chunk)) continue;
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(ServerCallTest, ClientThatVanishesEndsItsStream) {
  service_.step = Endless;
  {
    grpc::ClientContext context;
    v1::ReadFramesResponse chunk;
    const auto reader = stub_->ReadFrames(&context, {});
    ASSERT_TRUE(reader->Read(&chunk));
    // Reader and context are destroyed without ending the call.
  }
  service_.source_gone.WaitForNotification();
}

TEST_F(ServerCallTest, ShutdownEndsAnEndlessStream) {
  service_.step = Endless;
  grpc::ClientContext context;
  const auto reader = stub_->ReadFrames(&context, {});
  v1::ReadFramesResponse chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  server_->Shutdown(system_clock::now() + milliseconds(10));
  EXPECT_TRUE(service_.source_gone.HasBeenNotified());
  while (reader->Read(&chunk)) continue;
  EXPECT_FALSE(reader->Finish().ok());
}

TEST_F(ServerCallTest, CallsAreCountedWhileTheyLast) {
  EXPECT_TRUE(runner_.calls.AwaitNone(absl::ZeroDuration()));
  Loop loop;
  service_.SetBody([&loop](StopCheck stop) { return loop.Run(stop); });
  grpc::ClientContext unary;
  std::thread client([&] { Audit(&unary); });
  loop.started.WaitForNotification();
  EXPECT_FALSE(runner_.calls.AwaitNone(absl::ZeroDuration()));
  unary.TryCancel();
  client.join();
  EXPECT_TRUE(runner_.calls.AwaitNone(absl::InfiniteDuration()));

  service_.step = Endless;
  grpc::ClientContext stream;
  const auto reader = stub_->ReadFrames(&stream, {});
  v1::ReadFramesResponse chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  EXPECT_FALSE(runner_.calls.AwaitNone(absl::ZeroDuration()));
  stream.TryCancel();
  EXPECT_TRUE(runner_.calls.AwaitNone(absl::InfiniteDuration()));
}

TEST_F(ServerCallTest, CallsAreCancelledAtAnyMoment) {
  for (int i = 0; i < 50; ++i) {
    const auto loop = std::make_shared<Loop>();
    service_.SetBody([loop](StopCheck stop) { return loop->Run(stop); });
    grpc::ClientContext context;
    std::thread client([&] { EXPECT_FALSE(Audit(&context).ok()); });
    if (i % 2 == 0) loop->started.WaitForNotification();
    context.TryCancel();
    client.join();
    service_.SetBody([](StopCheck) { return absl::OkStatus(); });
    grpc::ClientContext next;
    EXPECT_TRUE(Audit(&next).ok());
  }
}

}  // namespace
}  // namespace simvisor::server
