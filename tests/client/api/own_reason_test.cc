// The reasons of the client's own errors, and docs/cli-errors.md.

#include "client/api/own_reason.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/strip.h"
#include "base/error.h"
#include "client/api/error.h"
#include "grpcpp/support/status.h"

namespace simvisor::client {
namespace {

TEST(OwnReasonTest, EachHasOneRowOfTheDocumentInOrder) {
  std::ifstream file("docs/cli-errors.md");
  std::vector<std::string> documented;
  std::string line;
  while (std::getline(file, line)) {
    absl::string_view rest = line;
    if (!absl::ConsumePrefix(&rest, "| `")) continue;
    const absl::string_view name = rest.substr(0, rest.find('`'));
    if (name[0] >= 'A' && name[0] <= 'Z') documented.emplace_back(name);
  }
  std::vector<std::string> names;
  for (const OwnReason reason : OwnReasons()) {
    names.emplace_back(NameOf(reason));
  }
  EXPECT_EQ(documented, names);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
}

TEST(OwnReasonTest, FirstReasonStays) {
  const absl::Status error =
      WithReason(WithReason(absl::AbortedError("a"), OwnReason::kConfigInvalid),
                 OwnReason::kStepFailed);
  EXPECT_EQ(AnyReasonOf(error), "CONFIG_INVALID");
  EXPECT_EQ(error.message(), "a");
  EXPECT_EQ(ReasonOf(error), "");
  EXPECT_EQ(Describe(error), "a");
  EXPECT_TRUE(WithReason(absl::OkStatus(), OwnReason::kStepFailed).ok());
}

TEST(OwnReasonTest, ReasonAndFactsOfTheMachineStay) {
  const absl::Status error =
      MakeError(absl::StatusCode::kInvalidArgument, Reason::kCpuInvalid, "c",
                {{fact::kLimit, 63}});
  EXPECT_THAT(MetadataOf(error),
              testing::ElementsAre(testing::Pair("limit", "63")));
  EXPECT_EQ(AnyReasonOf(WithReason(error, OwnReason::kStepFailed)),
            "CPU_INVALID");
}

TEST(OwnReasonTest, ErrorsThatGrpcMakesAreNamedWhereProgramsTellThemApart) {
  const auto reason_of = [](grpc::StatusCode code) {
    return AnyReasonOf(FromGrpc(grpc::Status(code, "m"), "unix:/x"));
  };
  EXPECT_EQ(reason_of(grpc::StatusCode::UNAVAILABLE), "DAEMON_UNREACHABLE");
  EXPECT_EQ(reason_of(grpc::StatusCode::DEADLINE_EXCEEDED),
            "DEADLINE_EXCEEDED");
  EXPECT_EQ(reason_of(grpc::StatusCode::CANCELLED), "CANCELLED");
  EXPECT_EQ(reason_of(grpc::StatusCode::UNIMPLEMENTED), "");
  EXPECT_EQ(AnyReasonOf(absl::AbortedError("a")), "CLIENT_FAILED");
}

}  // namespace
}  // namespace simvisor::client
