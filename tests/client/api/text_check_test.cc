// Strings of requests that are not UTF-8, which protobuf would not send.

#include "client/api/text_check.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "simvisor/v1/domain_service.pb.h"
#include "simvisor/v1/memory_service.pb.h"

namespace simvisor::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string MessageOf(const absl::Status& status) {
  return std::string(status.message());
}

TEST(TextCheckTest, Utf8IsFine) {
  EXPECT_TRUE(CheckUtf8("name", "").ok());
  EXPECT_TRUE(CheckUtf8("name", "caf\xc3\xa9").ok());
}

TEST(TextCheckTest, QuoteOfALongTextIncludesTheByte) {
  const std::string text = std::string(300, 'a') + "\xe9" + std::string(9, 'b');
  const std::string message = MessageOf(CheckUtf8("name", text));
  EXPECT_THAT(message, HasSubstr("name \"...aaa"));
  EXPECT_THAT(message, HasSubstr("a\\xe9bbbbbbbbb\": byte 0xe9 at offset 300"));
  EXPECT_LT(message.size(), 220);
  EXPECT_THAT(MessageOf(CheckUtf8("name", "\xe9" + std::string(300, 'a'))),
              HasSubstr("name \"\\xe9aaa"));
}

TEST(TextCheckTest, FieldsAreNamedByTheirPath) {
  v1::CreateDomainRequest request;
  request.mutable_spec()->set_name("web");
  EXPECT_TRUE(CheckStrings(request).ok());
  request.mutable_spec()->add_pci_devices("0000:01:00.0");
  request.mutable_spec()->add_pci_devices("\xff");
  EXPECT_THAT(
      MessageOf(CheckStrings(request)),
      HasSubstr("spec.pci_devices[1] \"\\xff\": byte 0xff at offset 0"));
  request.mutable_spec()->set_name(
      "w\xe9"
      "b");
  EXPECT_THAT(MessageOf(CheckStrings(request)),
              HasSubstr("spec.name \"w\\xe9"));
}

TEST(TextCheckTest, StringsInListsOfMessagesAreChecked) {
  v1::StreamMemoryOpsRequest request;
  request.add_ops()->mutable_domain()->set_name("a");
  request.add_ops()->mutable_domain()->set_name("b\xe9");
  EXPECT_THAT(MessageOf(CheckStrings(request)),
              HasSubstr("ops[1].domain.name \"b\\xe9"));
}

}  // namespace
}  // namespace simvisor::client
