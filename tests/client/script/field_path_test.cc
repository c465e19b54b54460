// Paths of fields: what they find, set and refuse.

#include "client/script/field_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "google/protobuf/text_format.h"
#include "simvisor/v1/domain_service.pb.h"
#include "simvisor/v1/memory_service.pb.h"

namespace simvisor::client {
namespace {

using ::testing::HasSubstr;

FieldPath PathOf(const google::protobuf::Descriptor* type,
                 const std::string& text) {
  auto path = FieldPath::Parse(*type, text);
  EXPECT_TRUE(path.ok()) << path.status();
  return *std::move(path);
}

template <typename Message>
Message FromText(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

std::string PathError(const std::string& path) {
  const auto parsed =
      FieldPath::Parse(*v1::ListDomainsResponse::descriptor(), path);
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << path;
  return std::string(parsed.status().message());
}

TEST(FieldPathTest, WrongPathsSayWhichNameIsWrong) {
  EXPECT_THAT(PathError(""), HasSubstr("has no field ''"));
  EXPECT_THAT(PathError("domain"), HasSubstr("ListDomainsResponse has no field "
                                             "'domain'"));
  EXPECT_THAT(PathError("domains.domid"), HasSubstr("such as domains[0]"));
  EXPECT_THAT(PathError("domains[].domid"), HasSubstr("such as domains[0]"));
  EXPECT_THAT(PathError("domains[-1].domid"), HasSubstr("such as domains[0]"));
  EXPECT_THAT(PathError("domains[0"), HasSubstr("such as domains[0]"));
  EXPECT_THAT(PathError("domains[0]"), HasSubstr("'domains' is a message"));
  EXPECT_THAT(PathError("domains[0].memory"),
              HasSubstr("'memory' is a message"));
  EXPECT_THAT(PathError("domains[0].name[0]"),
              HasSubstr("'name' is not a list"));
  EXPECT_THAT(PathError("domains[0].name.x"),
              HasSubstr("'name' is not a message"));
  EXPECT_THAT(PathError("next_page_token."), HasSubstr("is not a message"));
}

TEST(FieldPathTest, ReadsEveryTypeAsText) {
  const auto list = FromText<v1::ListDomainsResponse>(
      "domains { domid: 1 } domains { domid: 7 name: \"w\\\"eb\" "
      "state: DOMAIN_STATE_PAUSED memory { current_pages: 18446744073709551615 "
      "} }");
  const auto read = [&](const std::string& path) {
    return PathOf(list.GetDescriptor(), path).Read(list).value_or("(none)");
  };
  EXPECT_EQ(read("domains[1].domid"), "7");
  EXPECT_EQ(read("domains[1].name"), "w\"eb");
  EXPECT_EQ(read("domains[1].state"), "DOMAIN_STATE_PAUSED");
  EXPECT_EQ(read("domains[1].memory.current_pages"), "18446744073709551615");
  // A proto3 scalar that is not set is its default.
  EXPECT_EQ(read("domains[0].name"), "");
  const auto bytes = FromText<v1::ReadGuestMemoryResponse>("data: \"\\xff\"");
  EXPECT_EQ(*PathOf(bytes.GetDescriptor(), "data").Read(bytes), "\xff");
}

TEST(FieldPathTest, WhatTheMessageLacksIsNotFound) {
  const auto list = FromText<v1::ListDomainsResponse>("domains { domid: 1 }");
  const auto read = [&](const std::string& path) {
    return PathOf(list.GetDescriptor(), path).Read(list).status();
  };
  EXPECT_EQ(read("domains[1].domid"),
            absl::NotFoundError("domains[1].domid: 'domains' has 1 elements"));
  EXPECT_EQ(read("domains[0].memory.current_pages"),
            absl::NotFoundError(
                "domains[0].memory.current_pages: 'memory' is not set"));
  const v1::GetDomainRequest request;
  EXPECT_EQ(PathOf(request.GetDescriptor(), "domain.domid")
                .Read(request)
                .status()
                .code(),
            absl::StatusCode::kNotFound);
}

TEST(FieldPathTest, WritesWithTheMessagesAround) {
  v1::SetMemoryTargetRequest request;
  const auto* type = request.GetDescriptor();
  EXPECT_TRUE(PathOf(type, "domain.domid").Write("7", request).ok());
  EXPECT_TRUE(PathOf(type, "target_pages").Write("65536", request).ok());
  EXPECT_EQ(request.ShortDebugString(),
            "domain { domid: 7 } target_pages: 65536");
}

TEST(FieldPathTest, WritesAnElementOfAListInItsPlace) {
  auto request = FromText<v1::TranslatePfnsRequest>("pfns: 1 pfns: 2 pfns: 3");
  EXPECT_TRUE(
      PathOf(request.GetDescriptor(), "pfns[1]").Write("99", request).ok());
  EXPECT_EQ(request.ShortDebugString(), "pfns: 1 pfns: 99 pfns: 3");
  EXPECT_EQ(PathOf(request.GetDescriptor(), "pfns[3]").Write("9", request),
            absl::NotFoundError("pfns[3]: 'pfns' has 3 elements"));
}

TEST(FieldPathTest, WritesStringsAndBytesUnchanged) {
  v1::WriteGuestMemoryRequest request;
  const std::string odd("\0\xff\"\\\n", 5);
  const auto* type = request.GetDescriptor();
  EXPECT_TRUE(PathOf(type, "data").Write(odd, request).ok());
  EXPECT_TRUE(PathOf(type, "domain.name").Write("\xc3\xa9\"", request).ok());
  EXPECT_EQ(request.data(), odd);
  EXPECT_EQ(request.domain().name(), "\xc3\xa9\"");
}

TEST(FieldPathTest, ValueThatDoesNotFitIsRefused) {
  v1::GetDomainRequest request;
  const absl::Status status = PathOf(request.GetDescriptor(), "domain.domid")
                                  .Write("4294967296", request);
  EXPECT_EQ(status, absl::OutOfRangeError("domain.domid: 4294967296 does not "
                                          "fit in a field of type uint32"));
}

TEST(FieldPathTest, OtherFieldOfAOneofIsNotReplaced) {
  auto request = FromText<v1::GetDomainRequest>("domain { name: \"web\" }");
  EXPECT_EQ(PathOf(request.GetDescriptor(), "domain.domid").TryWrite(request),
            absl::FailedPreconditionError(
                "domain.domid: 'name' is set, and only one of 'ref' can be"));
  EXPECT_EQ(request.domain().name(), "web");
}

TEST(FieldPathTest, IntegersOfAllSizesAreOneType) {
  const auto* domain = v1::Domain::descriptor();
  EXPECT_EQ(PathOf(domain, "domid").type(),
            PathOf(domain, "memory.current_pages").type());
  EXPECT_EQ(NameOf(PathOf(domain, "domid").type()), "an integer");
  EXPECT_EQ(NameOf(PathOf(domain, "state").type()),
            "a simvisor.v1.DomainState");
  EXPECT_FALSE(PathOf(domain, "state").type() ==
               PathOf(domain, "memory.balloon_state").type());
}

}  // namespace
}  // namespace simvisor::client
