#include "server/listen/connection_limits.h"

#include <sys/resource.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

TEST(ServerConnectionLimitsTest, DefaultLeavesDescriptorsToTheDaemon) {
  EXPECT_EQ(*MaxConnections(std::nullopt, 1u << 20), 1024u);
  EXPECT_EQ(*MaxConnections(std::nullopt, 1024), 960u);
  EXPECT_EQ(*MaxConnections(std::nullopt, 256), 192u);
  EXPECT_EQ(*MaxConnections(std::nullopt, 64), 32u);
  EXPECT_EQ(*MaxConnections(std::nullopt, 0), 1u);
}

TEST(ServerConnectionLimitsTest, BoundThatDoesNotFitIsRefused) {
  EXPECT_EQ(*MaxConnections(960, 1024), 960u);
  const auto refused = MaxConnections(961, 1024);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()),
              testing::HasSubstr("a limit of 1024 open files leaves room for "
                                 "960"));
}

TEST(ServerConnectionLimitsTest, PeerGetsThreeQuartersAndAtLeastOne) {
  EXPECT_EQ(ConnectionLimits{.max_connections = 1024}.max_per_peer(), 768u);
  EXPECT_EQ(ConnectionLimits{.max_connections = 1}.max_per_peer(), 1u);
  EXPECT_EQ(ConnectionLimits{.max_connections = 2}.max_per_peer(), 2u);
}

TEST(ServerConnectionLimitsTest, LimitIsRaisedToTheHardLimit) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit lowered = {.rlim_cur = 100, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &lowered), 0);
  EXPECT_EQ(RaiseDescriptorLimit(), before.rlim_max);
  rlimit after;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace simvisor::server
