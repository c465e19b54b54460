#include "server/listen/listen_address.h"

#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

using testing::_;
using testing::HasSubstr;

TEST(ServerListenAddressTest, UnixPath) {
  const auto address = ListenAddress::Parse("unix:/run/simvisor.sock");
  ASSERT_THAT(address, IsOk());
  EXPECT_TRUE(address->is_unix());
  EXPECT_EQ(address->path(), "/run/simvisor.sock");
  EXPECT_EQ(address->ToString(), "unix:/run/simvisor.sock");
}

TEST(ServerListenAddressTest, UnixUriIsTheSameAddress) {
  EXPECT_EQ(*ListenAddress::Parse("unix:///run/a.sock"),
            *ListenAddress::Parse("unix:/run/a.sock"));
}

TEST(ServerListenAddressTest, RelativePathStartsAtTheCurrentFolder) {
  const std::string here = std::filesystem::current_path();
  const auto address = ListenAddress::Parse("unix:./x/../a.sock");
  if (here.size() > 90) GTEST_SKIP() << "the current folder's path is long";
  ASSERT_THAT(address, IsOk());
  EXPECT_EQ(address->path(), here + "/a.sock");
}

TEST(ServerListenAddressTest, PathThatIsTooLongForASocketIsRefused) {
  const std::string longest = "/" + std::string(106, 'a');
  EXPECT_THAT(ListenAddress::Parse("unix:" + longest), IsOk());
  EXPECT_THAT(ListenAddress::Parse("unix:" + longest + "a"),
              IsError(absl::StatusCode::kInvalidArgument,
                      Reason::kArgumentMalformed, HasSubstr("108 bytes")));
}

TEST(ServerListenAddressTest, PercentIsEscapedOnlyForGrpc) {
  const auto address = ListenAddress::Parse("unix:/run/50%41");
  ASSERT_THAT(address, IsOk());
  EXPECT_EQ(address->ToString(), "unix:/run/50%41");
  EXPECT_EQ(address->GrpcAddress(), "unix:/run/50%2541");
}

TEST(ServerListenAddressTest, HostAndPort) {
  const auto address = ListenAddress::Parse("127.0.0.1:0");
  ASSERT_THAT(address, IsOk());
  EXPECT_FALSE(address->is_unix());
  EXPECT_EQ(address->host(), "127.0.0.1");
  EXPECT_EQ(address->port(), 0);
  EXPECT_EQ(address->WithPort(4711).ToString(), "127.0.0.1:4711");
}

TEST(ServerListenAddressTest, Ipv6HostKeepsItsBrackets) {
  EXPECT_EQ(ListenAddress::Parse("[::1]:80")->ToString(), "[::1]:80");
}

TEST(ServerListenAddressTest, OnlyLoopbackAndUnixAreLocal) {
  for (const char* text :
       {"unix:/a", "127.0.0.1:0", "localhost:1", "[::1]:0"}) {
    EXPECT_TRUE(ListenAddress::Parse(text)->is_local()) << text;
  }
  for (const char* text :
       {"0.0.0.0:0", "[::]:0", "192.0.2.1:1", "a.example:1"}) {
    EXPECT_FALSE(ListenAddress::Parse(text)->is_local()) << text;
  }
}

TEST(ServerListenAddressTest, OtherTextIsRefused) {
  for (const char* text : {"", "unix:", "/run/simvisor.sock", "localhost",
                           ":80", "host:", "host:65536", "host:-1", "host:1x",
                           "::1:80", "http://host:80"}) {
    EXPECT_THAT(ListenAddress::Parse(text),
                IsError(absl::StatusCode::kInvalidArgument,
                        Reason::kArgumentMalformed, _))
        << text;
  }
}

}  // namespace
}  // namespace simvisor::server
