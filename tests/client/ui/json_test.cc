#include "client/ui/json.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "client/api/error.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "simvisor/v1/domain_service.pb.h"
#include "simvisor/v1/guest_load_service.pb.h"
#include "simvisor/v1/memory_service.pb.h"

namespace simvisor::client {
namespace {

TEST(JsonTest, NumbersOf64BitsAreNumbersWhereverTheyAre) {
  v1::ListDomainsResponse list;
  list.add_domains()->mutable_memory()->set_current_pages(UINT64_MAX);
  const auto json = ToJson(list);
  ASSERT_TRUE(json.ok());
  const Json& pages = (*json)["domains"][0]["memory"]["current_pages"];
  EXPECT_TRUE(pages.is_number_unsigned());
  EXPECT_EQ(OneLine(pages), "18446744073709551615");

  v1::TranslatePfnsRequest pfns;
  pfns.add_pfns(0);
  pfns.add_pfns(uint64_t{1} << 53 | 1);
  EXPECT_EQ(OneLine((*ToJson(pfns))["pfns"]), "[0,9007199254740993]");
}

TEST(JsonTest, DigitsOfATextStayText) {
  v1::Domain domain;
  domain.set_name("1e5");
  EXPECT_EQ(OneLine((*ToJson(domain))["name"]), R"("1e5")");
}

TEST(JsonTest, DefaultsAreThereAndUnsetOptionalFieldsAreNot) {
  const Json json = *ToJson(v1::CheckGuestLoadResponse());
  EXPECT_EQ(json["checked_pages"], 0);
  EXPECT_FALSE(json.contains("first_bad_pfn"));
}

TEST(JsonTest, OutputIsAsciiThatReadsBackAsItWas) {
  v1::Domain domain;
  domain.set_name("\xc3\xa9\xe2\x80\xae\x1b\x7f\"");
  const std::string line = OneLine(*ToJson(domain));
  for (const char c : line) EXPECT_TRUE(c >= ' ' && c < '\x7f') << line;
  EXPECT_EQ(Json::parse(line)["name"], domain.name());
}

TEST(JsonTest, BytesThatAreNotUtf8AreShownSomehow) {
  EXPECT_EQ(OneLine(Json("a\xff")), "\"a\\ufffd\"");
  EXPECT_EQ(Lines(Json("a\xff")), "\"a\\ufffd\"");
  const Json error = ToJson(absl::InvalidArgumentError("no a\xff\n"));
  EXPECT_EQ(OneLine(error["message"]), "\"no a\\ufffd\\n\"");
}

TEST(JsonTest, ErrorsHaveCodeReasonMessageAndMetadata) {
  google::rpc::ErrorInfo info;
  info.set_reason("GUEST_MEMORY_EXHAUSTED");
  (*info.mutable_metadata())["available"] = "12";
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  const absl::Status status =
      FromGrpc(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "no \"room\"",
                            details.SerializeAsString()),
               "unix:/a");
  EXPECT_EQ(OneLine(ToJson(status)),
            R"({"code":"RESOURCE_EXHAUSTED","reason":"GUEST_MEMORY_EXHAUSTED",)"
            R"("message":"no \"room\"","metadata":{"available":"12"}})");
  EXPECT_EQ(
      OneLine(ToJson(absl::InvalidArgumentError("ours"))),
      R"({"code":"INVALID_ARGUMENT","reason":"CLIENT_FAILED","message":"ours",)"
      R"("metadata":{}})");
}

}  // namespace
}  // namespace simvisor::client
