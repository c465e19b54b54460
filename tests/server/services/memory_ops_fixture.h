// A daemon that serves StreamMemoryOps, a stream to it, and common helpers for
// its tests.

#ifndef SIMVISOR_TESTS_SERVER_SERVICES_MEMORY_OPS_FIXTURE_H_
#define SIMVISOR_TESTS_SERVER_SERVICES_MEMORY_OPS_FIXTURE_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <grpcpp/support/sync_stream.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "domain/host/host.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "server/calls/call_runner.h"
#include "server/machine/fault_injector.h"
#include "server/machine/machine.h"
#include "server/memory/memory_op_batch.h"
#include "server/memory/memory_service.h"
#include "tests/server/services/api_requests.h"
#include "tests/support/fake_clock.h"
#include "tests/support/random_seed.h"
#include "tests/support/scoped_folder.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {

// A machine that serves MemoryService and is accessible to the test.
struct ServedMachine {
  ServedMachine() {
    KeepGrpcUp();
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(4 << 20);
    builder.RegisterService(&service);
    const std::string address = "unix:" + folder / "s";
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    server = builder.BuildAndStart();
    channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    stub = v1::MemoryService::NewStub(channel);
  }
  ~ServedMachine() {
    faults.Stop();
    server->Shutdown(std::chrono::system_clock::now());
    server->Wait();
    EXPECT_THAT(host->Audit().findings, testing::IsEmpty());
  }

  std::shared_ptr<Domain> Create(const std::string& name, bool paused = false) {
    DomainSpec spec;
    spec.name = name;
    spec.memory = PageCount(kPages);
    spec.max_memory = PageCount(2 * kPages);
    auto domain = host->CreateDomain(spec, paused, NeverStop);
    EXPECT_TRUE(domain.ok()) << domain.status();
    return *domain;
  }
  // Makes every balloon operation of this domain wait until the rule is
  // removed.
  uint64_t Hold(const std::string& name) {
    return *faults.Add({.point = FaultPoint::kBalloonBegin,
                        .domain = name,
                        .action = FaultAction::kDelay,
                        .delay_ms = kMaxFaultDelayMs});
  }
  // How many balloon operations have begun since the rule was set.
  uint64_t Hits(uint64_t rule) const {
    for (const FaultRuleState& state : faults.List()) {
      if (state.id == rule) return state.hits;
    }
    return 0;
  }
  void AwaitHits(uint64_t rule, uint64_t hits) const {
    while (Hits(rule) < hits) std::this_thread::yield();
  }

  const ScopedFolder folder;
  FakeClock clock{4};
  FaultInjector faults{true};
  Machine machine{MakeServedHost(2, Placement::kScatter),
                  {.clock = &clock, .faults = &faults}};
  Host* const host = &machine.host();
  CallRunner runner{&machine, 8};
  MemoryServiceImpl service{&runner};
  std::unique_ptr<grpc::Server> server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::MemoryService::Stub> stub;
};

// One call, from the client's side.
class Stream {
 public:
  explicit Stream(ServedMachine& machine)
      : stream_(machine.stub->StreamMemoryOps(&context)) {}

  bool Write(const std::vector<v1::MemoryOp>& ops) {
    v1::StreamMemoryOpsRequest request;
    *request.mutable_ops() = {ops.begin(), ops.end()};
    return stream_->Write(request);
  }
  // The results of one response; none at the end of the stream.
  std::vector<v1::MemoryOpResult> Read() {
    v1::StreamMemoryOpsResponse response;
    if (!stream_->Read(&response)) return {};
    return {response.results().begin(), response.results().end()};
  }
  // Reads until there are `count` results, in the order of arrival.
  std::vector<v1::MemoryOpResult> Read(size_t count) {
    std::vector<v1::MemoryOpResult> all;
    while (all.size() < count) {
      const auto some = Read();
      EXPECT_LE(some.size(), kMaxOpsPerMessage);
      if (some.empty()) break;
      all.insert(all.end(), some.begin(), some.end());
    }
    EXPECT_EQ(all.size(), count);
    return all;
  }
  void HalfClose() {
    if (!std::exchange(half_closed_, true)) stream_->WritesDone();
  }
  std::string End() {
    HalfClose();
    EXPECT_THAT(Read(), testing::IsEmpty());
    return Outcome(stream_->Finish());
  }

  grpc::ClientContext context;
  grpc::ClientReaderWriterInterface<v1::StreamMemoryOpsRequest,
                                    v1::StreamMemoryOpsResponse>&
  raw() {
    return *stream_;
  }

 private:
  bool half_closed_ = false;
  std::unique_ptr<grpc::ClientReaderWriter<v1::StreamMemoryOpsRequest,
                                           v1::StreamMemoryOpsResponse>>
      stream_;
};

inline v1::MemoryOp Op(uint64_t id, const std::string& domain,
                       const std::string& what) {
  v1::MemoryOp op;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(what, &op)) << what;
  op.set_id(id);
  op.mutable_domain()->set_name(domain);
  return op;
}

inline v1::MemoryOp Target(uint64_t id, const std::string& domain,
                           uint64_t pages) {
  return Op(id, domain,
            absl::StrCat("set_target { target_pages: ", pages, "}"));
}

// "OK", or code and reason.
inline std::string OutcomeOf(const v1::MemoryOpResult& result) {
  if (!result.has_error()) return "OK";
  EXPECT_NE(result.error().message(), "");
  return result.error().code() + " " + result.error().reason();
}

inline std::vector<uint64_t> IdsOf(
    const std::vector<v1::MemoryOpResult>& results) {
  std::vector<uint64_t> ids;
  for (const auto& result : results) ids.push_back(result.id());
  return ids;
}

class ServerMemoryOpsApiTest : public testing::Test {
 protected:
  ServerMemoryOpsApiTest() : web_(machine_.Create("web")) {}

  // The outcome of one operation in a stream of its own.
  std::string Do(const v1::MemoryOp& op, v1::MemoryOpResult* result = nullptr) {
    Stream stream(machine_);
    EXPECT_TRUE(stream.Write({op}));
    const auto results = stream.Read(1);
    EXPECT_EQ(stream.End(), "OK");
    if (results.empty()) return "none";
    EXPECT_EQ(results[0].id(), op.id());
    if (result != nullptr) *result = results[0];
    return OutcomeOf(results[0]);
  }
  std::string Do(const std::string& what) { return Do(Op(7, "web", what)); }

  ServedMachine machine_;
  const std::shared_ptr<Domain> web_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SERVER_SERVICES_MEMORY_OPS_FIXTURE_H_
