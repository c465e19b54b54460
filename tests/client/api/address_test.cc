// The grammar of addresses, and the choice of the default address.

#include "client/api/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace simvisor::client {
namespace {

using ::testing::HasSubstr;

TEST(AddressTest, SocketsAndPortsAreAddresses) {
  for (const char* address :
       {"unix:/run/simvisor.sock", "unix:relative.sock", "localhost:1",
        "127.0.0.1:65535", "[::1]:50051", "host.example:80"}) {
    EXPECT_TRUE(CheckAddress(address).ok()) << address;
  }
}

TEST(AddressTest, OtherTextIsRefusedWithTheGrammar) {
  for (const char* address :
       {"", "localhost", "localhost:", ":80", "unix:", "host:0", "host:65536",
        "host:http", "::1:80", "host:-1"}) {
    const absl::Status status = CheckAddress(address);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("unix:PATH or HOST:PORT"));
  }
}

TEST(AddressTest, ErrorForABarePathShowsHowToWriteASocket) {
  EXPECT_THAT(std::string(CheckAddress("/run/a.sock").message()),
              HasSubstr("a socket is unix:/run/a.sock"));
}

TEST(AddressTest, PathIsTakenAsItIsWritten) {
  EXPECT_EQ(GrpcTarget("unix:/run/50%41#?.sock"),
            "unix:/run/50%2541%23%3F.sock");
  EXPECT_EQ(GrpcTarget("unix:///run/x"), "unix:/run/x");
  EXPECT_EQ(GrpcTarget("[::1]:50051"), "[::1]:50051");
  EXPECT_THAT(std::string(CheckAddress("unix:/run/a,b").message()),
              HasSubstr("must not have a comma"));
}

TEST(AddressTest, TooLongSocketPathIsRefused) {
  EXPECT_TRUE(CheckAddress("unix:/" + std::string(106, 'a')).ok());
  EXPECT_FALSE(CheckAddress("unix:/" + std::string(107, 'a')).ok());
}

TEST(AddressTest, VariableComesBeforeEverything) {
  EXPECT_EQ(ChooseAddress({.simvisor_address = "host:1",
                           .runtime_dir = "/run/user/7",
                           .uid = 7}),
            "host:1");
}

TEST(AddressTest, RuntimeFolderComesBeforeTheSystem) {
  EXPECT_EQ(
      ChooseAddress(
          {.simvisor_address = "", .runtime_dir = "/run/user/7", .uid = 7}),
      "unix:/run/user/7/simvisor.sock");
}

TEST(AddressTest, SystemSocketIsForRoot) {
  EXPECT_EQ(
      ChooseAddress({.simvisor_address = "", .runtime_dir = "", .uid = 0}),
      "unix:/run/simvisor.sock");
}

TEST(AddressTest, OtherUsersHaveTheirOwnFolder) {
  EXPECT_EQ(
      ChooseAddress({.simvisor_address = "", .runtime_dir = "", .uid = 7}),
      "unix:/tmp/simvisor-7/simvisor.sock");
}

}  // namespace
}  // namespace simvisor::client
