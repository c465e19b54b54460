#include "server/calls/rpc_status.h"

#include <string>

#include "base/error.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"

namespace simvisor::server {
namespace {

google::rpc::Status DetailsOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

google::rpc::ErrorInfo InfoOf(const grpc::Status& status) {
  google::rpc::ErrorInfo info;
  const google::rpc::Status details = DetailsOf(status);
  EXPECT_EQ(details.details_size(), 1);
  EXPECT_TRUE(details.details(0).UnpackTo(&info));
  return info;
}

TEST(ServerRpcStatusTest, OkHasNoDetails) {
  const grpc::Status status = ToGrpcStatus(absl::OkStatus());
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.error_details(), "");
}

TEST(ServerRpcStatusTest, EveryCodePassesThrough) {
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status =
        ToGrpcStatus(MakeError(static_cast<absl::StatusCode>(code),
                               Reason::kNameInUse, "domain 7: why"));
    EXPECT_EQ(static_cast<int>(status.error_code()), code);
    EXPECT_EQ(status.error_message(), "domain 7: why");
    EXPECT_EQ(DetailsOf(status).code(), code);
    EXPECT_EQ(DetailsOf(status).message(), "domain 7: why");
  }
}

TEST(ServerRpcStatusTest, EveryReasonTravelsByName) {
  for (const Reason reason : AllReasons()) {
    const google::rpc::ErrorInfo info = InfoOf(
        ToGrpcStatus(MakeError(absl::StatusCode::kAborted, reason, "x")));
    EXPECT_EQ(info.domain(), "simvisor");
    EXPECT_EQ(info.reason(), std::string(ReasonName(reason)));
  }
}

TEST(ServerRpcStatusTest, StatusWithoutReasonIsInternal) {
  const grpc::Status status = ToGrpcStatus(absl::NotFoundError("x"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(InfoOf(status).reason(), "INTERNAL");
}

TEST(ServerRpcStatusTest, FactsTravelAsMetadata) {
  const google::rpc::ErrorInfo info = InfoOf(ToGrpcStatus(MakeError(
      absl::StatusCode::kResourceExhausted, Reason::kHostMemoryExhausted, "x",
      {{fact::kRequested, 512}, {fact::kUnit, "pages"}})));
  EXPECT_EQ(info.metadata().size(), 2u);
  EXPECT_EQ(info.metadata().at("requested"), "512");
  EXPECT_EQ(info.metadata().at("unit"), "pages");
}

TEST(ServerRpcStatusTest, FactIsPrintableAndShortWhateverItQuotes) {
  const google::rpc::ErrorInfo info = InfoOf(ToGrpcStatus(
      MakeError(absl::StatusCode::kInvalidArgument, Reason::kNameInvalid, "x",
                {{fact::kValue, "\x1b[31m" + std::string(1000, 'n')}})));
  EXPECT_EQ(info.metadata().at("value").size(), kMaxFactBytes);
  EXPECT_EQ(info.metadata().at("value").substr(0, 8), "\\x1b[31m");
}

TEST(ServerRpcStatusTest, MessageIsPrintableWhateverItQuotes) {
  const grpc::Status status = ToGrpcStatus(
      MakeError(absl::StatusCode::kInvalidArgument, Reason::kNameInvalid,
                "name \x1b[31m cut in a character: \xe2\x82"));
  EXPECT_EQ(status.error_message(),
            "name \\x1b[31m cut in a character: \\xe2\\x82");
  EXPECT_EQ(DetailsOf(status).message(), status.error_message());
}

TEST(ServerRpcStatusTest, MessageThatWouldNotFitTrailersIsCut) {
  const grpc::Status status =
      ToGrpcStatus(MakeError(absl::StatusCode::kInvalidArgument,
                             Reason::kNameInvalid, std::string(100000, 'n')));
  EXPECT_EQ(status.error_message().size(), kMaxMessageBytes);
  EXPECT_LT(status.error_details().size(), 2 * kMaxMessageBytes);
  EXPECT_EQ(InfoOf(status).reason(), "NAME_INVALID");
}

}  // namespace
}  // namespace simvisor::server
