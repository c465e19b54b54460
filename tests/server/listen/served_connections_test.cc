#include "server/listen/served_connections.h"

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <utility>

#include "gtest/gtest.h"
#include "server/listen/unique_fd.h"
#include "tests/server/listen/connected_pair.h"

namespace simvisor::server {
namespace {

Clock::Time At(int second) { return Clock::Time(std::chrono::seconds(second)); }

// True if `fd` or its other end has been shut down.
bool IsShutDown(const UniqueFd& fd) {
  pollfd file = {.fd = fd.get(), .events = 0, .revents = 0};
  return poll(&file, 1, 0) == 1;
}

TEST(ServerServedConnectionsTest, OpenConnectionsStay) {
  const auto [a, b] = ConnectedPair();
  ServedConnections served;
  served.Add(a.get(), "one", At(0));
  served.Add(b.get(), "two", At(0));
  served.Prune();
  EXPECT_EQ(served.size(), 2u);
  EXPECT_EQ(served.CountOf("one"), 1u);
  EXPECT_EQ(served.CountOf("two"), 1u);
  EXPECT_EQ(served.CountOf("three"), 0u);
}

TEST(ServerServedConnectionsTest, ClosedConnectionIsForgotten) {
  ServedConnections served;
  const auto [a, b] = ConnectedPair();
  {
    const auto [c, d] = ConnectedPair();
    served.Add(a.get(), "one", At(0));
    served.Add(c.get(), "one", At(0));
  }
  EXPECT_EQ(served.CountOf("one"), 2u);
  served.Prune();
  EXPECT_EQ(served.size(), 1u);
  EXPECT_EQ(served.CountOf("one"), 1u);
}

TEST(ServerServedConnectionsTest,
     OtherFileUnderTheSameNumberIsNotTheConnection) {
  ServedConnections served;
  const auto [a, b] = ConnectedPair();
  int number = -1;
  {
    const UniqueFd connection(dup(a.get()));
    number = connection.get();
    served.Add(number, "one", At(0));
    served.Prune();
    EXPECT_EQ(served.size(), 1u);
  }
  const auto [c, d] = ConnectedPair();
  const UniqueFd other(dup2(c.get(), number));
  served.Prune();
  EXPECT_EQ(served.size(), 0u);
}

TEST(ServerServedConnectionsTest, NewConnectionTakesThePlaceOfItsNumber) {
  ServedConnections served;
  const auto [a, b] = ConnectedPair();
  served.Add(a.get(), "one", At(0));
  served.Add(a.get(), "two", At(0));
  EXPECT_EQ(served.size(), 1u);
  EXPECT_EQ(served.CountOf("one"), 0u);
  EXPECT_EQ(served.CountOf("two"), 1u);
}

TEST(ServerServedConnectionsTest, ClosedDescriptorIsNotAConnection) {
  ServedConnections served;
  served.Add(-1, "one", At(0));
  EXPECT_EQ(served.size(), 0u);
}

TEST(ServerServedConnectionsTest, QuietOneOfThePeerWithMostIsShutDownFirst) {
  const auto [a, a_end] = ConnectedPair();
  const auto [b, b_end] = ConnectedPair();
  const auto [c, c_end] = ConnectedPair();
  ServedConnections served;
  served.Add(a.get(), "one", At(1));
  served.Add(b.get(), "two", At(5));
  served.Add(c.get(), "two", At(4));
  EXPECT_FALSE(served.ShutDownQuiet(At(1), ""));
  EXPECT_TRUE(served.ShutDownQuiet(At(10), ""));
  EXPECT_TRUE(IsShutDown(c));
  EXPECT_FALSE(IsShutDown(a));
  EXPECT_FALSE(IsShutDown(b));
  // Not the same one again while its owner keeps it open.
  EXPECT_TRUE(served.ShutDownQuiet(At(10), "two"));
  EXPECT_TRUE(IsShutDown(b));
  EXPECT_FALSE(served.ShutDownQuiet(At(10), "two"));
  EXPECT_FALSE(IsShutDown(a));
}

TEST(ServerServedConnectionsTest, ConnectionThatWasHeardStays) {
  const auto [a, a_end] = ConnectedPair();
  ServedConnections served;
  served.Add(a.get(), "one", At(1));
  served.Listen([](int) { return 24; }, At(7));
  EXPECT_FALSE(served.ShutDownQuiet(At(7), ""));
  served.HearAll(At(9));
  EXPECT_FALSE(served.ShutDownQuiet(At(8), ""));
  EXPECT_FALSE(IsShutDown(a));
}

TEST(ServerServedConnectionsTest, ConnectionWithoutNewBytesIsShutDown) {
  const auto [a, a_end] = ConnectedPair();
  ServedConnections served;
  served.Add(a.get(), "one", At(1));
  served.Listen([](int) { return 24; }, At(7));
  served.Listen([](int) { return 24; }, At(8));
  EXPECT_TRUE(served.ShutDownQuiet(At(8), ""));
  EXPECT_TRUE(IsShutDown(a));
}

TEST(ServerServedConnectionsTest, OtherFileUnderTheSameNumberIsNotShutDown) {
  const auto [c, d] = ConnectedPair();
  ServedConnections served;
  int number = -1;
  {
    const auto [a, b] = ConnectedPair();
    const UniqueFd connection(dup(a.get()));
    number = connection.get();
    served.Add(number, "one", At(1));
  }
  const UniqueFd other(dup2(c.get(), number));
  EXPECT_FALSE(served.ShutDownQuiet(At(10), ""));
  EXPECT_FALSE(IsShutDown(c));
}

}  // namespace
}  // namespace simvisor::server
