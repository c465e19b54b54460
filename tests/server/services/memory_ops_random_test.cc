// Compares StreamMemoryOps with the unary methods, in random order.

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
#include <limits>
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
#include "server/memory/memory_op_batch.h"
#include "server/memory/memory_service.h"
#include "tests/server/services/memory_ops_fixture.h"
#include "tests/support/fake_clock.h"
#include "tests/support/random_seed.h"
#include "tests/support/scoped_folder.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {
namespace {

using Memory = v1::MemoryService::Stub;

// Random operations on a few domains.
class RandomOps {
 public:
  explicit RandomOps(uint64_t seed) : random_(seed) {}

  v1::MemoryOp Next(uint64_t id) {
    static const char* const kNames[] = {"a", "b", "c", "built", "nobody"};
    v1::MemoryOp op = Op(id, kNames[Below(5)], "");
    const uint64_t pfn = Below(20) == 0 ? Below(kLast) : Below(2 * kPages + 9);
    const uint64_t count = Below(600);
    switch (Below(8)) {
      case 0:
        op.mutable_set_target()->set_target_pages(Below(2 * kPages + 10));
        break;
      case 1:
        op.mutable_balloon_down()->set_pages(count);
        op.mutable_balloon_down()->set_allow_partial(Below(2) == 0);
        break;
      case 2:
        op.mutable_balloon_up()->set_pages(count);
        op.mutable_balloon_up()->set_allow_partial(Below(2) == 0);
        break;
      case 3:
        for (uint64_t i = Below(5); i > 0; --i) {
          op.mutable_translate()->add_pfns(pfn + i);
        }
        break;
      case 4:
        op.mutable_set()->set_first_pfn(pfn);
        op.mutable_set()->set_count(count);
        op.mutable_set()->set_p2m_class(static_cast<v1::P2mClass>(Below(5)));
        op.mutable_set()->set_ram_policy(static_cast<v1::RamPolicy>(Below(5)));
        break;
      case 5:
        op.mutable_identity()->set_start_pfn(pfn);
        op.mutable_identity()->set_end_pfn(pfn + count);
        op.mutable_identity()->set_release_ram(Below(2) == 0);
        break;
      case 6:
        op.mutable_write()->set_pfn(pfn);
        op.mutable_write()->set_offset_bytes(Below(5000));
        op.mutable_write()->set_data(std::string(Below(9000), 'x'));
        break;
      default:
        break;
    }
    return op;
  }
  uint64_t Below(uint64_t end) { return random_() % end; }

 private:
  std::mt19937_64 random_;
};

template <typename Request, typename Response, typename Result>
std::string CallAs(ServedMachine& machine,
                   grpc::Status (Memory::*method)(grpc::ClientContext*,
                                                  const Request&, Response*),
                   Request request, const v1::DomainRef& domain,
                   Result* result) {
  *request.mutable_domain() = domain;
  grpc::ClientContext context;
  Response response;
  const grpc::Status status =
      (*machine.stub.*method)(&context, request, &response);
  // Both messages have the same field names and numbers.
  if (status.ok()) {
    EXPECT_TRUE(result->ParseFromString(response.SerializeAsString()));
    EXPECT_TRUE(result->GetReflection()->GetUnknownFields(*result).empty());
  }
  return Outcome(status) + (status.ok() ? "" : ": " + status.error_message());
}

// The request whose fields have the same names.
template <typename Request, typename Fields>
Request FromFields(const Fields& fields) {
  Request request;
  std::string text;
  google::protobuf::TextFormat::PrintToString(fields, &text);
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request));
  return request;
}

// The answer of the unary method, written like the stream's result.
std::string DoUnary(ServedMachine& machine, const v1::MemoryOp& op,
                    v1::MemoryOpResult* result) {
  switch (op.op_case()) {
    case v1::MemoryOp::kSetTarget:
      return CallAs(machine, &Memory::SetMemoryTarget,
                    FromFields<v1::SetMemoryTargetRequest>(op.set_target()),
                    op.domain(), result->mutable_set_target());
    case v1::MemoryOp::kBalloonDown:
      return CallAs(machine, &Memory::BalloonDown,
                    FromFields<v1::BalloonDownRequest>(op.balloon_down()),
                    op.domain(), result->mutable_balloon_down());
    case v1::MemoryOp::kBalloonUp:
      return CallAs(machine, &Memory::BalloonUp,
                    FromFields<v1::BalloonUpRequest>(op.balloon_up()),
                    op.domain(), result->mutable_balloon_up());
    case v1::MemoryOp::kTranslate:
      return CallAs(machine, &Memory::TranslatePfns,
                    FromFields<v1::TranslatePfnsRequest>(op.translate()),
                    op.domain(), result->mutable_translate());
    case v1::MemoryOp::kSet:
      return CallAs(machine, &Memory::SetP2mRange,
                    FromFields<v1::SetP2mRangeRequest>(op.set()), op.domain(),
                    result->mutable_set());
    case v1::MemoryOp::kIdentity:
      return CallAs(machine, &Memory::MarkIdentityRange,
                    FromFields<v1::MarkIdentityRangeRequest>(op.identity()),
                    op.domain(), result->mutable_identity());
    default:
      return CallAs(machine, &Memory::WriteGuestMemory,
                    FromFields<v1::WriteGuestMemoryRequest>(op.write()),
                    op.domain(), result->mutable_write());
  }
}

class ServerMemoryOpsRandomTest : public testing::TestWithParam<uint64_t> {};

// One domain at a time gets frames, so that both machines give the same ones.
TEST_P(ServerMemoryOpsRandomTest, StreamGivesTheSameResultsAsCalls) {
  SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", GetParam()));
  ServedMachine streamed;
  ServedMachine called;
  for (ServedMachine* machine : {&streamed, &called}) {
    for (const char* name : {"a", "b", "c"}) machine->Create(name);
    machine->Create("built", /*paused=*/true);
  }
  RandomOps random(GetParam());
  Stream stream(streamed);
  uint64_t id = 0;
  for (int round = 0; round < 60; ++round) {
    std::vector<v1::MemoryOp> ops;
    const std::string name(1, static_cast<char>('a' + random.Below(3)));
    const bool alone = round % 4 != 0;
    for (uint64_t i = random.Below(40); i > 0; --i) {
      v1::MemoryOp op = random.Next(++id);
      if (op.op_case() == v1::MemoryOp::OP_NOT_SET) continue;
      if (alone && op.domain().name() != "nobody") {
        op.mutable_domain()->set_name(name);
      } else if (op.has_set_target() || op.has_balloon_up() || op.has_set() ||
                 op.has_balloon_down() || op.has_identity()) {
        continue;
      }
      ops.push_back(op);
    }
    if (ops.empty()) continue;
    ASSERT_TRUE(stream.Write(ops));
    std::map<uint64_t, v1::MemoryOpResult> results;
    for (const auto& result : stream.Read(ops.size())) {
      results[result.id()] = result;
    }
    for (const v1::MemoryOp& op : ops) {
      v1::MemoryOpResult expected;
      expected.set_id(op.id());
      const std::string outcome = DoUnary(called, op, &expected);
      const v1::MemoryOpResult& actual = results[op.id()];
      if (actual.has_error()) {
        EXPECT_EQ(OutcomeOf(actual) + ": " + actual.error().message(), outcome);
      } else {
        EXPECT_EQ(outcome, "OK") << op.ShortDebugString();
        EXPECT_EQ(actual.ShortDebugString(), expected.ShortDebugString());
      }
    }
  }
  EXPECT_EQ(stream.End(), "OK");
}

INSTANTIATE_TEST_SUITE_P(Seeds, ServerMemoryOpsRandomTest,
                         testing::ValuesIn(TestSeeds(4)));

}  // namespace
}  // namespace simvisor::server
