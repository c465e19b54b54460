#include "client/session/field_names.h"

#include <string>

#include "client/api/error.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"

namespace simvisor::client {
namespace {

using testing::ElementsAre;
using testing::Pair;

constexpr FieldName kNames[] = {{"rule.error.code", "--error"},
                                {"pfns", "PFN"}};

// An error about `field` with `message`, as the daemon sends it.
absl::Status ErrorAbout(const std::string& field, const std::string& message) {
  google::rpc::ErrorInfo info;
  info.set_reason("ARGUMENT_MALFORMED");
  (*info.mutable_metadata())["field"] = field;
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  return FromGrpc({grpc::StatusCode::INVALID_ARGUMENT, message,
                   details.SerializeAsString()},
                  "unix:/a");
}

std::string Named(const std::string& field, const std::string& message) {
  return std::string(
      NameArgument(kNames, ErrorAbout(field, message)).message());
}

TEST(FieldNamesTest, ArgumentReplacesTheFieldThatItFillsIn) {
  EXPECT_EQ(Named("rule.error.code", "rule.error.code: \"X\" is no code"),
            "--error: \"X\" is no code");
}

TEST(FieldNamesTest, PartOfAFieldKeepsItsPlace) {
  EXPECT_EQ(Named("pfns[3].count", "pfns[3].count: 0"), "PFN[3].count: 0");
}

TEST(FieldNamesTest, OtherFieldsAndOtherMessagesStay) {
  EXPECT_EQ(Named("pfns_total", "pfns_total: 0"), "pfns_total: 0");
  EXPECT_EQ(Named("pfns", "the pfns: 0"), "the pfns: 0");
  const absl::Status local = absl::NotFoundError("pfns: gone");
  EXPECT_EQ(NameArgument(kNames, local), local);
  EXPECT_TRUE(NameArgument(kNames, absl::OkStatus()).ok());
}

TEST(FieldNamesTest, ReasonAndMetadataStay) {
  const absl::Status named =
      NameArgument(kNames, ErrorAbout("pfns", "pfns: too many"));
  EXPECT_EQ(Describe(named),
            "PFN: too many (INVALID_ARGUMENT ARGUMENT_MALFORMED)");
  EXPECT_THAT(MetadataOf(named), ElementsAre(Pair("field", "pfns")));
}

}  // namespace
}  // namespace simvisor::client
