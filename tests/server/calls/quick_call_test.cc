// When calls run on gRPC's own threads, and that health checks do not wait
// behind them.

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"
#include "server/calls/call_runner.h"
#include "server/calls/raw_service.h"
#include "server/calls/unary_call.h"
#include "simvisor/v1/host_service.grpc.pb.h"
#include "tests/support/scoped_folder.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {
namespace {

using std::chrono::system_clock;

using QuickServiceBase =
    RawService<v1::HostService,
               v1::HostService::WithRawCallbackMethod_AuditHost,
               v1::HostService::WithRawCallbackMethod_GetHost>;

// AuditHost runs a body, quickly if it may.
class QuickService final : public QuickServiceBase {
 public:
  explicit QuickService(CallRunner* runner) : runner_(runner) {}

  grpc::ServerUnaryReactor* AuditHost(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* in,
                                      grpc::ByteBuffer* out) override {
    const auto [quick, body] = Get();
    return RunQuick(
        runner_, {context, in, out}, "AuditHost",
        [quick = quick](const v1::AuditHostRequest&) { return quick; },
        [body = body](const v1::AuditHostRequest&, v1::AuditHostResponse*,
                      StopCheck) {
          body();
          return absl::OkStatus();
        });
  }
  grpc::ServerUnaryReactor* GetHost(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* in,
                                    grpc::ByteBuffer* out) override {
    return RunInline(runner_, {context, in, out}, "GetHost",
                     [](const v1::GetHostRequest&, v1::GetHostResponse*,
                        StopCheck) { return absl::OkStatus(); });
  }

  // For calls that arrive from now on.
  void Set(bool quick, std::function<void()> body) {
    absl::MutexLock lock(&mu_);
    quick_ = quick;
    body_ = std::move(body);
  }

 private:
  std::pair<bool, std::function<void()>> Get() {
    absl::MutexLock lock(&mu_);
    return {quick_, body_};
  }

  CallRunner* const runner_;
  absl::Mutex mu_;
  bool quick_ ABSL_GUARDED_BY(mu_) = true;
  std::function<void()> body_ ABSL_GUARDED_BY(mu_);
};

class ServerQuickCallTest : public testing::Test {
 protected:
  ServerQuickCallTest() : service_(&runner_) {
    KeepGrpcUp();
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    const std::string address = "unix:" + folder_ / "s";
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    server_ = builder.BuildAndStart();
    stub_ = v1::HostService::NewStub(
        grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
    absl::Notification known;
    runner_.pool.Submit([&] {
      pool_thread_ = std::this_thread::get_id();
      known.Notify();
    });
    known.WaitForNotification();
  }
  ~ServerQuickCallTest() override {
    server_->Shutdown(system_clock::now());
    server_->Wait();
  }

  void Audit() {
    grpc::ClientContext context;
    v1::AuditHostResponse response;
    EXPECT_TRUE(stub_->AuditHost(&context, {}, &response).ok());
  }

  // Whether a call made now runs on the pool.
  bool RunsOnPool(bool quick) {
    std::thread::id id;
    service_.Set(quick, [&id] { id = std::this_thread::get_id(); });
    Audit();
    return id == pool_thread_;
  }

  const ScopedFolder folder_;
  const std::unique_ptr<Machine> machine_ = MakeMachine(1, Placement::kLowest);
  CallRunner runner_{machine_.get(), 1};
  QuickService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::HostService::Stub> stub_;
  std::thread::id pool_thread_;
};

TEST_F(ServerQuickCallTest, QuickCallRunsAlthoughThePoolIsBusy) {
  // Outlives its last use by the test.
  const auto go = std::make_shared<absl::Notification>();
  runner_.pool.Submit([go] { go->WaitForNotification(); });
  EXPECT_FALSE(RunsOnPool(/*quick=*/true));
  go->Notify();
}

TEST_F(ServerQuickCallTest, OtherCallRunsOnThePool) {
  EXPECT_TRUE(RunsOnPool(/*quick=*/false));
}

TEST_F(ServerQuickCallTest, OnlyOneCallAtATimeHoldsAThreadOfGrpc) {
  absl::Notification began;
  absl::Notification go;
  service_.Set(/*quick=*/true, [&] {
    began.Notify();
    go.WaitForNotification();
  });
  std::thread client([this] { Audit(); });
  began.WaitForNotification();
  EXPECT_TRUE(RunsOnPool(/*quick=*/true));
  // And there is a thread left for calls that must never wait.
  grpc::ClientContext context;
  v1::GetHostResponse response;
  EXPECT_TRUE(stub_->GetHost(&context, {}, &response).ok());
  go.Notify();
  client.join();
  EXPECT_FALSE(RunsOnPool(/*quick=*/true));
}

TEST(ServerQuickGateTest, LetsOneCallInAtATime) {
  QuickGate gate;
  {
    const QuickGate::Pass first(&gate);
    EXPECT_TRUE(first.is_in());
    {
      const QuickGate::Pass second(&gate);
      EXPECT_FALSE(second.is_in());
    }
    const QuickGate::Pass third(&gate);
    EXPECT_FALSE(third.is_in());
  }
  const QuickGate::Pass fourth(&gate);
  EXPECT_TRUE(fourth.is_in());
}

// A daemon whose machine is accessible to the test.
class ServerBusyDomainTest : public testing::Test {
 protected:
  ServerBusyDomainTest() {
    KeepGrpcUp();
    std::unique_ptr<Machine> machine = MakeMachine(8, Placement::kLowest);
    host_ = &machine->host();
    const std::string address = "unix:" + folder_ / "s";
    auto daemon =
        Daemon::Start(std::move(machine), {*ListenAddress::Parse(address)});
    EXPECT_TRUE(daemon.ok()) << daemon.status();
    if (daemon.ok()) daemon_ = *std::move(daemon);
    channel_ = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    domain_ = *host_->Find(kDom0Id);
  }

  // Pauses domain 0 and ignores the reply.
  std::thread Pause() {
    return std::thread([channel = channel_] {
      grpc::ClientContext context;
      v1::PauseDomainRequest request;
      request.mutable_domain()->set_domid(0);
      v1::PauseDomainResponse response;
      EXPECT_TRUE(v1::DomainService::NewStub(channel)
                      ->PauseDomain(&context, request, &response)
                      .ok());
    });
  }
  std::thread SetTarget() {
    return std::thread([channel = channel_] {
      grpc::ClientContext context;
      v1::SetMemoryTargetRequest request;
      request.mutable_domain()->set_domid(0);
      request.set_target_pages(60000);
      v1::SetMemoryTargetResponse response;
      EXPECT_TRUE(v1::MemoryService::NewStub(channel)
                      ->SetMemoryTarget(&context, request, &response)
                      .ok());
    });
  }

  bool IsHealthy() {
    grpc::ClientContext context;
    context.set_deadline(system_clock::now() + std::chrono::seconds(30));
    grpc::health::v1::HealthCheckResponse response;
    return grpc::health::v1::Health::NewStub(channel_)
        ->Check(&context, {}, &response)
        .ok();
  }

  const ScopedFolder folder_;
  Host* host_ = nullptr;
  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<grpc::Channel> channel_;
  std::shared_ptr<Domain> domain_;
};

TEST_F(ServerBusyDomainTest, CallsThatWaitForADomainDoNotStallHealthChecks) {
  std::vector<std::thread> clients;
  domain_->audit().Lock();
  // More than gRPC's threads here, fewer than the pool's.
  for (int i = 0; i < 3; ++i) {
    clients.push_back(Pause());
    clients.push_back(SetTarget());
    EXPECT_TRUE(IsHealthy());
  }
  domain_->audit().Unlock();
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(IsHealthy());
  // Runs on a gRPC thread again, now that the domain is idle.
  SetTarget().join();
}

TEST_F(ServerBusyDomainTest, CallsLearnThatADomainIsBusyWithoutWaiting) {
  EXPECT_EQ(domain_->TryPages(), PageCount(256 * kPagesPerMiB));
  domain_->audit().Lock();
  std::thread([domain = domain_] {
    EXPECT_EQ(domain->TryPages(), std::nullopt);
  }).join();
  domain_->audit().Unlock();
  EXPECT_EQ(host_->TryFind(kDom0Id), domain_);
  EXPECT_EQ(host_->TryFind(DomainId(7)), nullptr);
}

}  // namespace
}  // namespace simvisor::server
