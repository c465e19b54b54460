#include "server/migration/migration_targets.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/migration/peer_address.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

std::string Canonical(const std::string& text) {
  const auto address = PeerAddress::Parse(text);
  return address.ok() ? address->ToString()
                      : std::string(address.status().message());
}

bool Allows(const std::string& list, const std::string& target) {
  const auto targets = MigrationTargets::Parse(list);
  EXPECT_THAT(targets, IsOk()) << list;
  const auto address = PeerAddress::Parse(target);
  EXPECT_THAT(address, IsOk()) << target;
  if (!targets.ok() || !address.ok()) return false;
  const absl::Status checked = targets->Check(*address);
  if (!checked.ok()) {
    EXPECT_THAT(checked,
                IsError(Code::kPermissionDenied, Reason::kTargetNotAllowed,
                        HasSubstr(address->ToString())));
  }
  return checked.ok();
}

TEST(ServerPeerAddressTest, EqualAddressesHaveEqualTexts) {
  EXPECT_EQ(Canonical("127.0.0.1:80"), "127.0.0.1:80");
  EXPECT_EQ(Canonical("[::ffff:127.0.0.1]:80"), "127.0.0.1:80");
  EXPECT_EQ(Canonical("[0:0::1]:080"), "[::1]:80");
  EXPECT_EQ(Canonical("unix:///run/../run/x"), "unix:/run/x");
}

TEST(ServerPeerAddressTest, GrpcIsGivenNothingToResolve) {
  EXPECT_EQ(PeerAddress::Parse("127.0.0.1:80")->GrpcAddress(),
            "ipv4:127.0.0.1:80");
  EXPECT_EQ(PeerAddress::Parse("[::1]:80")->GrpcAddress(), "ipv6:%5B::1%5D:80");
  EXPECT_EQ(PeerAddress::Parse("unix:/a%b")->GrpcAddress(), "unix:/a%25b");
}

TEST(ServerPeerAddressTest, NamesAndSchemesAreRefused) {
  for (const char* text : {"localhost:80",
                           "xds:80",
                           "xds:///x:80",
                           "dns:80",
                           "dns:///1.2.3.4:80",
                           "unix-abstract:5",
                           "vsock:1:2",
                           "ipv4:80",
                           "host:80",
                           "1.2.3:80",
                           "1.2.3.4.5:80",
                           "0x7f000001:80",
                           "2130706433:80",
                           "[::1%lo]:80",
                           "[1.2.3.4]:80",
                           "::1:80",
                           "1.2.3.4:0",
                           "1.2.3.4",
                           "1.2.3.4:65536",
                           "unix:",
                           ""}) {
    EXPECT_THAT(PeerAddress::Parse(text),
                IsError(Code::kInvalidArgument, Reason::kArgumentMalformed,
                        HasSubstr("target: ")))
        << text;
  }
}

TEST(ServerMigrationTargetsTest, DefaultIsThisMachine) {
  for (const std::string list : {"local", "unix:*,127.0.0.0/8,[::1]"}) {
    EXPECT_TRUE(Allows(list, "unix:/anywhere"));
    EXPECT_TRUE(Allows(list, "127.0.0.1:1"));
    EXPECT_TRUE(Allows(list, "127.255.1.2:65535"));
    EXPECT_TRUE(Allows(list, "[::1]:80"));
    EXPECT_TRUE(Allows(list, "[::ffff:127.0.0.1]:80"));
    EXPECT_FALSE(Allows(list, "128.0.0.1:80"));
    EXPECT_FALSE(Allows(list, "0.0.0.0:80"));
    EXPECT_FALSE(Allows(list, "[::]:80"));
    EXPECT_FALSE(Allows(list, "[::2]:80"));
    EXPECT_FALSE(Allows(list, "10.0.0.1:80"));
    EXPECT_FALSE(Allows(list, "169.254.169.254:80"));
  }
  EXPECT_THAT(MigrationTargets().Check(*PeerAddress::Parse("127.0.0.1:1")),
              IsOk());
  EXPECT_FALSE(
      MigrationTargets().Check(*PeerAddress::Parse("10.0.0.1:1")).ok());
}

TEST(ServerMigrationTargetsTest, AnyAndNone) {
  for (const char* target : {"unix:/x", "10.0.0.1:80", "[fd00::1]:80"}) {
    EXPECT_TRUE(Allows("any", target));
    EXPECT_FALSE(Allows("none", target));
  }
}

TEST(ServerMigrationTargetsTest, SocketsByPathOrFolder) {
  EXPECT_TRUE(Allows("unix:/run/a", "unix:/run/a"));
  EXPECT_FALSE(Allows("unix:/run/a", "unix:/run/ab"));
  EXPECT_TRUE(Allows("unix:/run/*", "unix:/run/deep/a"));
  EXPECT_FALSE(Allows("unix:/run/*", "unix:/run/../etc/a"));
  EXPECT_FALSE(Allows("unix:/run/*", "unix:/runner"));
  EXPECT_TRUE(Allows("unix:/*", "unix:/x"));
  EXPECT_FALSE(Allows("unix:*", "127.0.0.1:80"));
}

TEST(ServerMigrationTargetsTest, NetworksAndPorts) {
  EXPECT_TRUE(Allows("10.1.0.0/16", "10.1.2.3:5"));
  EXPECT_FALSE(Allows("10.1.0.0/16", "10.2.0.1:5"));
  EXPECT_TRUE(Allows("10.1.2.200/25:7000", "10.1.2.255:7000"));
  EXPECT_FALSE(Allows("10.1.2.200/25:7000", "10.1.2.100:7000"));
  EXPECT_FALSE(Allows("10.1.2.200/25:7000", "10.1.2.255:7001"));
  EXPECT_TRUE(Allows("10.1.2.3:*", "10.1.2.3:9"));
  EXPECT_TRUE(Allows("local,[fd00::/8]:7000", "[fd12::1]:7000"));
  EXPECT_FALSE(Allows("[fd00::/8]", "[fe00::1]:7000"));
  EXPECT_TRUE(Allows("0.0.0.0/0", "1.2.3.4:5"));
  EXPECT_FALSE(Allows("0.0.0.0/0", "[fd00::1]:5"));
}

TEST(ServerMigrationTargetsTest, MalformedListsAreRefused) {
  for (const char* list : {"",
                           ",",
                           "all",
                           "local,",
                           "10.0.0.0/33",
                           "10.0.0.0/-1",
                           "10.0.0.0/",
                           "10.0.0.1:0",
                           "10.0.0.1:65536",
                           "10.0.0.1:x",
                           "host",
                           "host:80",
                           "fd00::/8",
                           "[fd00::/8",
                           "[fd00::]/8",
                           "[fd00::/129]",
                           "[10.0.0.0/8]",
                           "unix:",
                           "any,local",
                           "xds:*"}) {
    EXPECT_THAT(MigrationTargets::Parse(list),
                IsError(Code::kInvalidArgument, Reason::kArgumentMalformed,
                        HasSubstr("")))
        << list;
  }
}

}  // namespace
}  // namespace simvisor::server
