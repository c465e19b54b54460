// StreamMemoryOps, as a client sees it.

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
#include "server/memory/memory_op_batch.h"
#include "server/memory/memory_ops.h"
#include "server/memory/memory_service.h"
#include "tests/server/services/memory_ops_fixture.h"
#include "tests/support/fake_clock.h"
#include "tests/support/random_seed.h"
#include "tests/support/scoped_folder.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {
namespace {

TEST_F(ServerMemoryOpsApiTest, EveryOperationAnswersLikeItsMethod) {
  v1::MemoryOpResult result;
  ASSERT_EQ(Do(Target(1, "web", kPages - 100), &result), "OK");
  EXPECT_EQ(result.set_target().memory().current_pages(), kPages - 100);
  EXPECT_EQ(result.set_target().memory().target_pages(), kPages - 100);
  ASSERT_EQ(Do(Op(2, "web", "balloon_down { pages: 50 }"), &result), "OK");
  EXPECT_EQ(result.balloon_down().moved_pages(), 50u);
  EXPECT_EQ(result.balloon_down().memory().current_pages(), kPages - 150);
  ASSERT_EQ(Do(Op(3, "web", "balloon_up { pages: 30 }"), &result), "OK");
  EXPECT_EQ(result.balloon_up().moved_pages(), 30u);
  EXPECT_EQ(result.balloon_up().memory().current_pages(), kPages - 120);

  ASSERT_EQ(Do(Op(4, "web",
                  "identity { start_pfn: 100 end_pfn: 200 release_ram: true }"),
               &result),
            "OK");
  EXPECT_EQ(result.identity().marked_pages(), 100u);
  EXPECT_EQ(result.identity().released_pages(), 100u);
  ASSERT_EQ(Do(Op(5, "web",
                  "set { first_pfn: 5000 count: 10 p2m_class: P2M_CLASS_MISSING"
                  " ram_policy: RAM_POLICY_RELEASE }"),
               &result),
            "OK");
  EXPECT_EQ(result.set().released_pages(), 10u);
  ASSERT_EQ(
      Do(Op(6, "web", "translate { pfns: 99 pfns: 100 pfns: 5000 }"), &result),
      "OK");
  EXPECT_THAT(result.translate().classes(),
              testing::ElementsAre(v1::P2M_CLASS_RAM, v1::P2M_CLASS_IDENTITY,
                                   v1::P2M_CLASS_MISSING));
  EXPECT_EQ(result.translate().frames(1), 100u);
  EXPECT_EQ(result.translate().frames(2), kLast);

  ASSERT_EQ(Do(Op(8, "web", "write { pfn: 8000 offset_bytes: 9 data: 'abc' }"),
               &result),
            "OK");
  EXPECT_TRUE(result.has_write());
  std::string data(3, '\0');
  ASSERT_TRUE(web_->contents().Read(Pfn(8000), 9, absl::MakeSpan(data)).ok());
  EXPECT_EQ(data, "abc");
}

TEST_F(ServerMemoryOpsApiTest, EveryErrorHasCodeAndReason) {
  machine_.Create("built", /*paused=*/true);
  v1::MemoryOp op;
  EXPECT_EQ(Do(op), "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(Do(""), "INVALID_ARGUMENT ARGUMENT_MISSING");
  op = Target(1, "web", 1);
  op.clear_domain();
  EXPECT_EQ(Do(op), "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(Do(Target(1, "nobody", 1)), "NOT_FOUND DOMAIN_NOT_FOUND");
  op.mutable_domain()->set_uuid("x");
  EXPECT_EQ(Do(op), "INVALID_ARGUMENT UUID_INVALID");

  EXPECT_EQ(Do("set_target {}"), "INVALID_ARGUMENT MEMORY_SIZE_INVALID");
  EXPECT_EQ(Do(Target(1, "web", 2 * kPages + 1)),
            "INVALID_ARGUMENT STATIC_MAX_EXCEEDED");
  EXPECT_EQ(Do("balloon_down {}"), "INVALID_ARGUMENT RANGE_INVALID");
  EXPECT_EQ(Do("balloon_down { pages: 100000 }"),
            "RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED");
  EXPECT_EQ(Do(Op(1, "built", "balloon_down { pages: 1 }")),
            "FAILED_PRECONDITION DOMAIN_NOT_RUNNING");
  EXPECT_EQ(Do("balloon_up { pages: 100000 }"),
            "RESOURCE_EXHAUSTED MAX_MEM_EXCEEDED");
  EXPECT_EQ(Do("translate {}"), "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(Do("set { count: 1 }"), "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(Do("set { p2m_class: P2M_CLASS_FOREIGN count: 1 }"),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  EXPECT_EQ(Do("set { p2m_class: P2M_CLASS_MISSING count: 1 first_mfn: 1 }"),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  EXPECT_EQ(Do("set { p2m_class: P2M_CLASS_MISSING count: 1 first_pfn: 9 }"),
            "FAILED_PRECONDITION PFN_HOLDS_RAM");
  EXPECT_EQ(Do("set { p2m_class: P2M_CLASS_MISSING count: 0 }"),
            "INVALID_ARGUMENT RANGE_INVALID");
  EXPECT_EQ(Do(Op(1, "built", "set { p2m_class: P2M_CLASS_MISSING count: 1 }")),
            "FAILED_PRECONDITION DOMAIN_NOT_BOOTED");
  EXPECT_EQ(Do("identity { start_pfn: 2 end_pfn: 1 }"),
            "INVALID_ARGUMENT RANGE_INVALID");
  EXPECT_EQ(Do("identity { start_pfn: 2 end_pfn: 3 }"),
            "FAILED_PRECONDITION PFN_HOLDS_RAM");
  EXPECT_EQ(Do("write { pfn: 9 }"), "INVALID_ARGUMENT RANGE_INVALID");
  EXPECT_EQ(Do("write { pfn: 9000000 data: 'x' }"),
            "FAILED_PRECONDITION PFN_NOT_RAM");
  op = Op(1, "web", "write {}");
  op.mutable_write()->set_data(std::string((1 << 20) + 1, 'x'));
  EXPECT_EQ(Do(op), "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
}

TEST_F(ServerMemoryOpsApiTest, FailedOperationDoesNotStopOthers) {
  Stream stream(machine_);
  ASSERT_TRUE(stream.Write({Target(1, "web", kPages - 1), Target(2, "web", 0),
                            Op(3, "web", ""), Target(4, "nobody", 1),
                            Target(5, "web", kPages - 2)}));
  std::map<uint64_t, std::string> outcomes;
  for (const auto& result : stream.Read(5)) {
    outcomes[result.id()] = OutcomeOf(result);
  }
  EXPECT_THAT(outcomes,
              testing::ElementsAre(
                  testing::Pair(1, "OK"),
                  testing::Pair(2, "INVALID_ARGUMENT MEMORY_SIZE_INVALID"),
                  testing::Pair(3, "INVALID_ARGUMENT ARGUMENT_MISSING"),
                  testing::Pair(4, "NOT_FOUND DOMAIN_NOT_FOUND"),
                  testing::Pair(5, "OK")));
  EXPECT_EQ(stream.End(), "OK");
  EXPECT_EQ(web_->Info().memory.current, PageCount(kPages - 2));
}

TEST_F(ServerMemoryOpsApiTest, EmptyMessageHasAnEmptyAnswer) {
  Stream stream(machine_);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(stream.Write({}));
    v1::StreamMemoryOpsResponse response;
    ASSERT_TRUE(stream.raw().Read(&response));
    EXPECT_EQ(response.results_size(), 0);
  }
  EXPECT_EQ(stream.End(), "OK");
}

TEST_F(ServerMemoryOpsApiTest, EmptyStreamEndsWithOk) {
  Stream stream(machine_);
  EXPECT_EQ(stream.End(), "OK");
}

TEST_F(ServerMemoryOpsApiTest, OneDomainByItsThreeNamesKeepsItsOrder) {
  Stream stream(machine_);
  std::vector<v1::MemoryOp> ops;
  std::vector<uint64_t> ids;
  for (uint64_t i = 0; i < 3000; ++i) {
    v1::MemoryOp op = Target(i, "web", kPages - 1 - i);
    if (i % 3 == 1) op.mutable_domain()->set_domid(web_->id().value());
    if (i % 3 == 2) {
      op.mutable_domain()->set_uuid(UuidToString(web_->Info().uuid));
    }
    ops.push_back(op);
    ids.push_back(i);
  }
  ASSERT_TRUE(stream.Write({ops.begin(), ops.begin() + 1000}));
  ASSERT_TRUE(stream.Write({ops.begin() + 1000, ops.end()}));
  const auto results = stream.Read(ids.size());
  EXPECT_EQ(IdsOf(results), ids);
  for (const auto& result : results) {
    EXPECT_EQ(result.set_target().memory().current_pages(),
              kPages - 1 - result.id());
  }
  EXPECT_EQ(stream.End(), "OK");
}

TEST_F(ServerMemoryOpsApiTest, SlowDomainDoesNotDelayOthers) {
  machine_.Create("slow");
  machine_.Hold("slow");
  Stream stream(machine_);
  ASSERT_TRUE(
      stream.Write({Target(1, "slow", kPages - 1), Target(2, "web", 9000),
                    Target(3, "slow", kPages - 2)}));
  EXPECT_EQ(IdsOf(stream.Read(1)), std::vector<uint64_t>{2});
  for (uint64_t id = 4; id < 1000; ++id) {
    ASSERT_TRUE(stream.Write({Target(id, "web", 9000 + id)}));
    EXPECT_EQ(IdsOf(stream.Read(1)), std::vector<uint64_t>{id});
  }
  // Within the bound on what is outstanding.
  ASSERT_EQ(machine_.faults.RemoveAll(), 1u);
  EXPECT_EQ(IdsOf(stream.Read(2)), (std::vector<uint64_t>{1, 3}));
  EXPECT_EQ(stream.End(), "OK");
}

TEST_F(ServerMemoryOpsApiTest, SlowDomainsOfTwoStreamsLeaveThreadsToCalls) {
  // More than the pool has threads.
  constexpr uint64_t kSlow = 20;
  std::vector<v1::MemoryOp> ops;
  for (uint64_t id = 0; id < kSlow; ++id) {
    const std::string name = absl::StrCat("slow", id);
    machine_.Create(name);
    ops.push_back(Target(id, name, 9000));
  }
  const uint64_t rule = machine_.Hold("");
  Stream one(machine_);
  Stream two(machine_);
  ASSERT_TRUE(one.Write({ops.begin(), ops.begin() + kSlow / 2}));
  ASSERT_TRUE(two.Write({ops.begin() + kSlow / 2, ops.end()}));
  machine_.AwaitHits(rule, 4);
  grpc::ClientContext context;
  v1::TranslatePfnsRequest request;
  request.mutable_domain()->set_name("web");
  request.mutable_pfns()->Resize(65536, 5);  // too many for gRPC's own threads
  v1::TranslatePfnsResponse response;
  EXPECT_TRUE(machine_.stub->TranslatePfns(&context, request, &response).ok());
  EXPECT_EQ(machine_.Hits(rule), 4u);
  ASSERT_EQ(machine_.faults.RemoveAll(), 1u);
  one.Read(kSlow / 2);
  two.Read(kSlow / 2);
  EXPECT_EQ(one.End(), "OK");
  EXPECT_EQ(two.End(), "OK");
}

TEST_F(ServerMemoryOpsApiTest, DomainDestroyedBeforeItsTurnIsNotMistaken) {
  machine_.Create("slow");
  const uint64_t rule = machine_.Hold("slow");
  Stream stream(machine_);
  ASSERT_TRUE(stream.Write(
      {Target(1, "slow", kPages - 1), Target(2, "slow", kPages - 2)}));
  machine_.AwaitHits(rule, 1);
  ASSERT_TRUE(machine_.host->DestroyDomain(DomainSelector("slow")).ok());
  const auto heir = machine_.Create("slow");
  machine_.faults.RemoveAll();
  for (const auto& result : stream.Read(2)) {
    EXPECT_EQ(OutcomeOf(result), "FAILED_PRECONDITION DOMAIN_DYING");
  }
  EXPECT_EQ(heir->Info().memory.target, PageCount(kPages));
  EXPECT_EQ(stream.End(), "OK");
}

TEST_F(ServerMemoryOpsApiTest, HalfCloseWaitsForWhatIsOutstanding) {
  const uint64_t rule = machine_.Hold("web");
  Stream stream(machine_);
  ASSERT_TRUE(stream.Write({Target(1, "web", 9000), Target(2, "web", 9001)}));
  stream.HalfClose();
  machine_.AwaitHits(rule, 1);
  machine_.faults.RemoveAll();
  EXPECT_EQ(IdsOf(stream.Read(2)), (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(stream.End(), "OK");
  EXPECT_EQ(web_->Info().memory.current, PageCount(9001));
}

TEST_F(ServerMemoryOpsApiTest, CancelledCallKeepsWhatIsDoneAndBeginsNoMore) {
  // 4096 operations that take 20 s unless they are stopped.
  const uint64_t rule =
      *machine_.faults.Add({.point = FaultPoint::kBalloonBegin,
                            .domain = "",
                            .action = FaultAction::kDelay,
                            .delay_ms = 5});
  std::vector<v1::MemoryOp> ops;
  for (uint64_t id = 1; id <= kMaxOpsPerMessage; ++id) {
    ops.push_back(Target(id, "web", kPages - id));
  }
  Stream stream(machine_);
  ASSERT_TRUE(stream.Write(ops));
  machine_.AwaitHits(rule, 3);
  EXPECT_FALSE(machine_.runner.calls.AwaitNone(absl::ZeroDuration()));
  stream.context.TryCancel();
  EXPECT_EQ(stream.raw().Finish().error_code(), grpc::StatusCode::CANCELLED);
  ASSERT_TRUE(machine_.runner.calls.AwaitNone(absl::InfiniteDuration()));
  const uint64_t begun = machine_.Hits(rule);
  EXPECT_LT(begun, kMaxOpsPerMessage);
  // The last that began may have found the call over.
  const uint64_t done = kPages - web_->Info().memory.target.value();
  EXPECT_THAT(done, testing::AnyOf(begun - 1, begun));
}

TEST_F(ServerMemoryOpsApiTest, TargetOfACallThatIsOverIsNotSet) {
  const auto over = [] { return absl::CancelledError("the client left"); };
  v1::SetMemoryTargetRequest request;
  request.set_target_pages(kPages - 100);
  v1::SetMemoryTargetResponse response;
  EXPECT_EQ(memory_ops::SetTarget()({machine_.machine, web_, over}, request,
                                    &response),
            over());
  EXPECT_EQ(web_->Info().memory.target, PageCount(kPages));
}

TEST_F(ServerMemoryOpsApiTest, OpenStreamIsInFlightOnlyWhileItHasWork) {
  const uint64_t rule = machine_.Hold("web");
  Stream stream(machine_);
  ASSERT_TRUE(stream.Write({Target(1, "web", 9000)}));
  machine_.AwaitHits(rule, 1);
  EXPECT_FALSE(machine_.runner.calls.AwaitNone(absl::ZeroDuration()));
  machine_.faults.RemoveAll();
  stream.Read(1);
  EXPECT_TRUE(machine_.runner.calls.AwaitNone(absl::InfiniteDuration()));
  // The server ends without waiting for it.
  machine_.server->Shutdown(std::chrono::system_clock::now());
  EXPECT_THAT(stream.Read(), testing::IsEmpty());
  EXPECT_FALSE(stream.raw().Finish().ok());
}

TEST_F(ServerMemoryOpsApiTest, MessageOfTooManyOperationsEndsTheCall) {
  Stream stream(machine_);
  std::vector<v1::MemoryOp> ops(kMaxOpsPerMessage,
                                Op(1, "web", "translate { pfns: 1 }"));
  ASSERT_TRUE(stream.Write(ops));
  ops.push_back(Target(2, "web", 1));
  stream.Write(ops);
  // What came before is done and answered.
  stream.Read(kMaxOpsPerMessage);
  EXPECT_EQ(stream.End(), "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  EXPECT_EQ(web_->Info().memory.target, PageCount(kPages));
}

// Writes to a stream whatever bytes it is given.
std::string EndAfter(ServedMachine& machine,
                     const std::vector<std::string>& messages,
                     size_t* results) {
  grpc::ClientContext context;
  grpc::internal::RpcMethod method("/simvisor.v1.MemoryService/StreamMemoryOps",
                                   grpc::internal::RpcMethod::BIDI_STREAMING);
  using RawStream =
      grpc::ClientReaderWriter<grpc::ByteBuffer, v1::StreamMemoryOpsResponse>;
  const std::unique_ptr<RawStream> stream(
      grpc::internal::ClientReaderWriterFactory<
          grpc::ByteBuffer, v1::StreamMemoryOpsResponse>::Create(machine.channel
                                                                     .get(),
                                                                 method,
                                                                 &context));
  for (const std::string& message : messages) {
    const grpc::Slice slice(message);
    stream->Write(grpc::ByteBuffer(&slice, 1));
  }
  stream->WritesDone();
  v1::StreamMemoryOpsResponse response;
  for (*results = 0; stream->Read(&response);) {
    *results += response.results_size();
  }
  return Outcome(stream->Finish());
}

TEST_F(ServerMemoryOpsApiTest, MessageThatCannotBeParsedEndsTheCall) {
  v1::StreamMemoryOpsRequest good;
  *good.add_ops() = Target(1, "web", 9000);
  v1::StreamMemoryOpsRequest bad;
  *bad.add_ops() = Target(2, "web", 8000);
  std::string not_utf8 = bad.SerializeAsString();
  not_utf8.replace(not_utf8.find("web"), 3, "w\xff\xfe");
  const std::string cut =
      bad.SerializeAsString().substr(0, bad.ByteSizeLong() - 1);
  size_t results = 0;
  for (const std::string& message :
       {cut, not_utf8, std::string("\xff\xff\xff"), std::string(1, '\0'),
        std::string("\x0a\x01\x07")}) {
    EXPECT_EQ(EndAfter(machine_, {good.SerializeAsString(), message}, &results),
              "INVALID_ARGUMENT ARGUMENT_MALFORMED");
    // What came before is done and answered, but nothing of the message.
    EXPECT_EQ(results, 1u);
    EXPECT_EQ(web_->Info().memory.target, PageCount(9000));
  }
  EXPECT_EQ(EndAfter(machine_, {good.SerializeAsString(), ""}, &results), "OK");
}

TEST_F(ServerMemoryOpsApiTest, MessageOfMillionsOfOperationsIsRefused) {
  std::string message;
  for (int i = 0; i < 2000000; ++i) message += std::string("\x0a\0", 2);
  size_t results = 0;
  EXPECT_EQ(EndAfter(machine_, {message}, &results),
            "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  EXPECT_EQ(results, 0u);
}

TEST_F(ServerMemoryOpsApiTest, LongAnswersForUnknownDomainsAreSplit) {
  const std::string name(990, 'x');
  std::vector<v1::MemoryOp> ops;
  for (uint64_t id = 0; id < kMaxOpsPerMessage; ++id) {
    ops.push_back(Target(id, name, 1));
    ops.back().clear_op();
  }
  Stream stream(machine_);
  ASSERT_TRUE(stream.Write(ops));
  for (const auto& result : stream.Read(kMaxOpsPerMessage)) {
    EXPECT_TRUE(result.has_error());
  }
  EXPECT_EQ(stream.End(), "OK");
}

TEST_F(ServerMemoryOpsApiTest, AnswersMuchLargerThanTheirMessageAreSplit) {
  v1::MemoryOp op = Op(1, "web", "translate {}");
  op.mutable_translate()->mutable_pfns()->Resize(65536, 5);
  Stream stream(machine_);
  ASSERT_TRUE(stream.Write(std::vector<v1::MemoryOp>(20, op)));
  for (const auto& result : stream.Read(20)) {
    EXPECT_EQ(result.translate().frames_size(), 65536);
  }
  EXPECT_EQ(stream.End(), "OK");
  op.mutable_translate()->add_pfns(5);
  EXPECT_EQ(Do(op), "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
}

TEST_F(ServerMemoryOpsApiTest, ClientThatDoesNotReadIsBlocked) {
  constexpr uint64_t kMessages = 256;
  constexpr uint64_t kOps = kMessages * kMaxOpsPerMessage;
  // A rule that only counts.
  const uint64_t rule = *machine_.faults.Add(
      {.point = FaultPoint::kBalloonBegin, .domain = "", .skip = kLast});
  Stream stream(machine_);
  absl::Notification written;
  std::thread writer([&] {
    std::vector<v1::MemoryOp> ops;
    for (uint64_t i = 0; i < kMaxOpsPerMessage; ++i) {
      ops.push_back(Target(i, "web", 0));
    }
    for (uint64_t i = 0; i < kMessages; ++i) EXPECT_TRUE(stream.Write(ops));
    written.Notify();
  });
  // If this time were too short, a server without limits would pass, but one
  // that keeps them would never fail.
  EXPECT_FALSE(written.WaitForNotificationWithTimeout(absl::Milliseconds(500)));
  EXPECT_LT(machine_.Hits(rule), kOps / 2);
  uint64_t next = 0;
  while (next < kOps) {
    for (const auto& result : stream.Read()) {
      ASSERT_EQ(result.id(), next++ % kMaxOpsPerMessage);
    }
  }
  writer.join();
  EXPECT_EQ(stream.End(), "OK");
}

}  // namespace
}  // namespace simvisor::server
