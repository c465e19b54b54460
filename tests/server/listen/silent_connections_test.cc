#include "server/listen/silent_connections.h"

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "server/listen/unique_fd.h"
#include "tests/server/listen/connected_pair.h"

namespace simvisor::server {
namespace {

// True if the other end of `fd` is closed.
bool IsCut(const UniqueFd& fd) {
  pollfd file = {.fd = fd.get(), .events = POLLIN, .revents = 0};
  return poll(&file, 1, 0) == 1 && (file.revents & POLLHUP) != 0;
}

class ServerSilentConnectionsTest : public testing::Test {
 protected:
  // Adds a connection that came at `second`, and returns its other end.
  UniqueFd Add(const std::string& peer, int second) {
    auto [mine, its] = ConnectedPair();
    last_ = mine.get();
    silent_.Add({.fd = std::move(mine),
                 .listener = 7,
                 .peer = peer,
                 .since = Clock::Time(std::chrono::seconds(second))});
    return std::move(its);
  }

  SilentConnections silent_;
  int last_ = -1;
};

TEST_F(ServerSilentConnectionsTest, OldestGoesFirst) {
  const UniqueFd first = Add("one", 1);
  const UniqueFd second = Add("two", 2);
  EXPECT_EQ(silent_.OldestSince(), Clock::Time(std::chrono::seconds(1)));
  silent_.CloseOldest();
  EXPECT_TRUE(IsCut(first));
  EXPECT_FALSE(IsCut(second));
  EXPECT_EQ(silent_.size(), 1u);
  EXPECT_EQ(silent_.OldestSince(), Clock::Time(std::chrono::seconds(2)));
}

TEST_F(ServerSilentConnectionsTest, OldestOfAPeerLeavesOthersAlone) {
  const UniqueFd first = Add("one", 1);
  const UniqueFd second = Add("two", 2);
  const UniqueFd third = Add("two", 3);
  EXPECT_TRUE(silent_.CloseOldestOf("two"));
  EXPECT_FALSE(IsCut(first));
  EXPECT_TRUE(IsCut(second));
  EXPECT_FALSE(IsCut(third));
  EXPECT_EQ(silent_.CountOf("two"), 1u);
  EXPECT_FALSE(silent_.CloseOldestOf("three"));
}

TEST_F(ServerSilentConnectionsTest, TakenConnectionIsOpenAndGoneFromTheList) {
  const UniqueFd other = Add("one", 1);
  ASSERT_TRUE(silent_.Contains(last_));
  const SilentConnections::Connection taken = silent_.Take(last_);
  EXPECT_EQ(taken.fd.get(), last_);
  EXPECT_EQ(taken.listener, 7);
  EXPECT_EQ(taken.peer, "one");
  EXPECT_FALSE(IsCut(other));
  EXPECT_FALSE(silent_.Contains(last_));
  EXPECT_TRUE(silent_.empty());
  EXPECT_EQ(silent_.CountOf("one"), 0u);
}

}  // namespace
}  // namespace simvisor::server
