#include <string>

#include "client/api/error.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"

namespace simvisor::client {
namespace {

using grpc::StatusCode;

std::string Told(StatusCode code, const std::string& message) {
  return Describe(FromGrpc(grpc::Status(code, message), "unix:/a"));
}

TEST(ClientErrorTest, FailedConnectionNamesTheSystemsError) {
  EXPECT_EQ(Told(StatusCode::UNAVAILABLE,
                 "failed to connect to all addresses; last error: UNKNOWN: "
                 "unix:/a: No such file or directory"),
            "cannot reach unix:/a: No such file or directory; is simvisord "
            "running?");
}

TEST(ClientErrorTest, TimedOutCallThatMayHaveChangedSomethingSaysSo) {
  const auto told = [](const char* method) {
    return Describe(
        FromGrpc(grpc::Status(StatusCode::DEADLINE_EXCEEDED, "late"), "unix:/a",
                 method));
  };
  for (const char* method : {"GetHost", "ListDomains", "TranslatePfns", ""}) {
    EXPECT_EQ(told(method),
              "unix:/a: no answer within the timeout; give the call a longer "
              "one (DEADLINE_EXCEEDED)");
  }
  for (const char* method : {"CreateDomain", "StreamMemoryOps"}) {
    EXPECT_EQ(told(method),
              "unix:/a: no answer within the timeout; the call may have been "
              "cancelled, or be done all the same: look with list before you "
              "repeat it with a longer one (DEADLINE_EXCEEDED)");
  }
  EXPECT_THAT(told("MigrateDomain"),
              testing::HasSubstr("look with migrations before"));
}

TEST(ClientErrorTest, OkOrNothingIsNeverGivenAsTheCause) {
  for (const char* cause : {"OK", ""}) {
    EXPECT_EQ(Told(StatusCode::UNAVAILABLE,
                   std::string("failed to connect to all addresses; last "
                               "error: ") +
                       cause),
              "cannot reach unix:/a: closed by the other side; is simvisord "
              "running?");
  }
  EXPECT_EQ(Told(StatusCode::UNAVAILABLE, ""),
            "lost the connection to unix:/a: closed by the other side; did "
            "simvisord stop?");
  EXPECT_EQ(Told(StatusCode::UNIMPLEMENTED, ""),
            "unix:/a ended the call without saying why (UNIMPLEMENTED)");
}

TEST(ClientErrorTest, MessagesAndReasonsOfAPeerAreMadePrintable) {
  google::rpc::ErrorInfo info;
  info.set_reason("A\nB");
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  const absl::Status status =
      FromGrpc(grpc::Status(StatusCode::NOT_FOUND, "no\x1b[2J\nsuch",
                            details.SerializeAsString()),
               "unix:/a");
  EXPECT_EQ(Describe(status), "no\\x1b[2J\\x0asuch (NOT_FOUND A\\x0aB)");
}

}  // namespace
}  // namespace simvisor::client
