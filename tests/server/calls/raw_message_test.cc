#include "server/calls/raw_message.h"

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/calls/message_budget.h"
#include "simvisor/v1/domain_service.pb.h"
#include "simvisor/v1/memory_service.pb.h"

namespace simvisor::server {
namespace {

using testing::HasSubstr;

constexpr uint64_t kBudget = uint64_t{1} << 20;

grpc::ByteBuffer Bytes(const std::string& data) {
  const grpc::Slice slice(data);
  return grpc::ByteBuffer(&slice, 1);
}

std::string Text(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(bytes.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

std::string ReasonIn(const absl::Status& status) {
  return ReasonOf(status).value_or("none");
}

TEST(RawMessageTest, MessageCountsUntilItIsReleased) {
  MessageBudget budget(kBudget);
  v1::GetDomainRequest request;
  request.mutable_domain()->set_name("web");
  grpc::ByteBuffer bytes = Bytes(request.SerializeAsString());
  TakenMessage<v1::GetDomainRequest> taken;
  ASSERT_TRUE(taken.Take(budget, "GetDomain", bytes).ok());
  EXPECT_EQ(taken->domain().name(), "web");
  EXPECT_FALSE(bytes.Valid());
  EXPECT_GT(budget.used(), 0u);
  taken.Clear();
  EXPECT_EQ(budget.used(), 0u);
}

TEST(RawMessageTest, MalformedMessageIsNamed) {
  MessageBudget budget(kBudget);
  TakenMessage<v1::GetDomainRequest> taken;
  grpc::ByteBuffer none;
  for (grpc::ByteBuffer bytes : {Bytes("\x0a\x7fx"), Bytes("\x0f"),
                                 Bytes("\x0a\x03\x12\x01\xff"), none}) {
    const absl::Status status = taken.Take(budget, "GetDomain", bytes);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ReasonIn(status), "ARGUMENT_MALFORMED");
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("GetDomain: the message is not a "
                          "simvisor.v1.GetDomainRequest"));
    EXPECT_EQ(budget.used(), 0u);
  }
}

TEST(RawMessageTest, TextThatIsNotUtf8IsNamedByItsField) {
  MessageBudget budget(kBudget);
  v1::CreateDomainRequest request;
  request.mutable_spec()->set_memory_pages(1000);
  request.mutable_spec()->set_name("latin1");
  request.mutable_spec()->add_pci_devices("01:00.0");
  std::string data = request.SerializeAsString();
  data[data.find("latin1") + 5] = '\xef';
  grpc::ByteBuffer bytes = Bytes(data);
  TakenMessage<v1::CreateDomainRequest> taken;
  const absl::Status status = taken.Take(budget, "CreateDomain", bytes);
  EXPECT_EQ(ReasonIn(status), "ARGUMENT_MALFORMED");
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("spec.name: byte 0xef at offset 5 is not UTF-8"));
  EXPECT_EQ(budget.used(), 0u);
}

TEST(RawMessageTest, EmptyMessageIsValid) {
  MessageBudget budget(kBudget);
  grpc::ByteBuffer bytes = Bytes("");
  TakenMessage<v1::GetDomainRequest> taken;
  EXPECT_TRUE(taken.Take(budget, "GetDomain", bytes).ok());
}

TEST(RawMessageTest, ParsedSizeCounts) {
  // Each slot takes two bytes on the wire.
  v1::MapForeignFramesRequest request;
  for (int i = 0; i < 100000; ++i) request.add_slots();
  const std::string data = request.SerializeAsString();
  MessageBudget budget(kBudget);
  grpc::ByteBuffer bytes = Bytes(data);
  TakenMessage<v1::MapForeignFramesRequest> taken;
  EXPECT_EQ(ReasonIn(taken.Take(budget, "Map", bytes)),
            "MESSAGE_MEMORY_EXHAUSTED");
  EXPECT_EQ(budget.used(), 0u);

  MessageBudget larger(64 * kBudget);
  bytes = Bytes(data);
  ASSERT_TRUE(taken.Take(larger, "Map", bytes).ok());
  EXPECT_GT(larger.used(), 10 * data.size());
}

TEST(RawMessageTest, TooManyElementsAreFoundBeforeTheyAreParsed) {
  MessageBudget budget(1024 * kBudget);
  v1::MapForeignFramesRequest slots;
  for (int i = 0; i < 600000; ++i) slots.add_slots();
  std::string unknown;
  for (int i = 0; i < 600000; ++i) unknown += "\xa0\x1f\x01";
  std::string groups;
  for (int i = 0; i < 600000; ++i) groups += "\xa3\x1f\xa4\x1f";
  TakenMessage<v1::MapForeignFramesRequest> map;
  for (const std::string& data : {slots.SerializeAsString(), unknown, groups}) {
    grpc::ByteBuffer bytes = Bytes(data);
    EXPECT_EQ(ReasonIn(map.Take(budget, "Map", bytes)), "ARGUMENT_TOO_LARGE");
  }
}

TEST(RawMessageTest, LargeDataIsNotManyElements) {
  MessageBudget budget(64 * kBudget);
  v1::WriteGuestMemoryRequest request;
  request.set_data(std::string(4 * kBudget - 100, '\x0a'));
  grpc::ByteBuffer bytes = Bytes(request.SerializeAsString());
  TakenMessage<v1::WriteGuestMemoryRequest> taken;
  EXPECT_TRUE(taken.Take(budget, "Write", bytes).ok());
  EXPECT_EQ(taken->data(), request.data());
}

TEST(RawMessageTest, PackedNumbersCountOnceParsed) {
  MessageBudget budget(256 * kBudget);
  v1::TranslatePfnsRequest request;
  request.mutable_pfns()->Resize(2 * kBudget, 5);
  grpc::ByteBuffer bytes = Bytes(request.SerializeAsString());
  TakenMessage<v1::TranslatePfnsRequest> taken;
  ASSERT_TRUE(taken.Take(budget, "Translate", bytes).ok());
  EXPECT_GT(budget.used(), 16 * kBudget);
}

TEST(RawMessageTest, LongMessageThatBreaksOffIsMalformed) {
  MessageBudget budget(64 * kBudget);
  v1::WriteGuestMemoryRequest request;
  request.set_data(std::string(2 * kBudget, 'x'));
  std::string data = request.SerializeAsString();
  data.pop_back();
  grpc::ByteBuffer bytes = Bytes(data);
  TakenMessage<v1::WriteGuestMemoryRequest> taken;
  EXPECT_EQ(ReasonIn(taken.Take(budget, "Write", bytes)), "ARGUMENT_MALFORMED");
}

TEST(RawMessageTest, AnswerCountsUntilItsBytesAreReleased) {
  MessageBudget budget(kBudget);
  for (const size_t size : {0, 1, 10, 20, 100, 4000, 100000}) {
    v1::ReadGuestMemoryResponse response;
    response.set_data(std::string(size, 'x'));
    grpc::ByteBuffer bytes;
    ASSERT_TRUE(WriteMessage(budget, "Read", response, bytes).ok());
    EXPECT_EQ(Text(bytes), response.SerializeAsString());
    EXPECT_GE(budget.used() + 100, size > 100 ? size : 0);
    bytes.Clear();
    EXPECT_EQ(budget.used(), 0u);
  }
}

TEST(RawMessageTest, OnlyLongAnswersAreRefused) {
  MessageBudget budget(kBudget);
  MessageBudget::Charge others;
  budget.AddAlways(kBudget, &others);
  v1::ReadGuestMemoryResponse response;
  grpc::ByteBuffer bytes;
  response.set_data(std::string(4000, 'x'));
  EXPECT_TRUE(WriteMessage(budget, "Read", response, bytes).ok());
  response.set_data(std::string(5000, 'x'));
  EXPECT_EQ(ReasonIn(WriteMessage(budget, "Read", response, bytes)),
            "MESSAGE_MEMORY_EXHAUSTED");
  WriteMessageAlways(budget, response, bytes);
  EXPECT_EQ(Text(bytes), response.SerializeAsString());
}

}  // namespace
}  // namespace simvisor::server
