#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "server/inbound_ledger.h"
#include "server/unique_fd.h"
#include "tests/connected_pair.h"

namespace simvisor::server {
namespace {

constexpr uint64_t kCall = InboundFrames::kCallBytes;

struct Pair {
  Pair() : Pair(ConnectedPair()) {}
  explicit Pair(std::pair<UniqueFd, UniqueFd> ends)
      : server(std::move(ends.first)), client(std::move(ends.second)) {}

  UniqueFd server;
  UniqueFd client;
};

// Begins a call, and sends `bytes` of its message of 1 MiB.
std::string PartOfACall(uint32_t bytes) {
  std::string sent = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  sent += std::string("\0\0\0\1\4\0\0\0\1", 9);
  const uint32_t size = bytes + 5;
  sent += static_cast<char>(size >> 16);
  sent += static_cast<char>(size >> 8);
  sent += static_cast<char>(size);
  sent += std::string("\0\0\0\0\0\1", 6);
  sent += std::string("\0\0\x10\0\0", 5) + std::string(bytes, 'x');
  return sent;
}

class InboundLedgerTest : public testing::Test {
 protected:
  // What the program's recvmsg() does, with a ledger of the test's.
  bool Receive(int fd, std::string bytes) {
    // In two parts.
    iovec parts[2] = {{bytes.data(), 10},
                      {bytes.data() + 10, bytes.size() - 10}};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    return ledger_.Take(fd, message, bytes.size());
  }
  bool ReceiveEnd(int fd) { return ledger_.Take(fd, {}, 0); }

  static bool IsShutDown(const Pair& pair) {
    char byte;
    return recv(pair.server.get(), &byte, 1, MSG_DONTWAIT) == 0;
  }

  InboundLedger ledger_;
};

TEST_F(InboundLedgerTest, ConnectionsAreAddedUpUntilTheyEnd) {
  Pair first;
  Pair second;
  ledger_.Add(first.server.get());
  ledger_.Add(second.server.get());
  EXPECT_TRUE(Receive(first.server.get(), PartOfACall(1000)));
  EXPECT_TRUE(Receive(second.server.get(), PartOfACall(100)));
  EXPECT_EQ(ledger_.held(), 2 * kCall + 1100);
  EXPECT_EQ(ledger_.TakenFrom(first.server.get()), PartOfACall(1000).size());
  EXPECT_EQ(ledger_.TakenFrom(first.client.get()), 0u);
  EXPECT_TRUE(ReceiveEnd(first.server.get()));
  EXPECT_EQ(ledger_.held(), kCall + 100);
}

TEST_F(InboundLedgerTest, OtherSocketsAreLeftAlone) {
  Pair pair;
  EXPECT_TRUE(Receive(pair.server.get(), PartOfACall(1000)));
  ledger_.Add(pair.server.get());
  EXPECT_TRUE(Receive(pair.client.get(), PartOfACall(1000)));
  EXPECT_EQ(ledger_.held(), 0u);
}

TEST_F(InboundLedgerTest, ConnectionThatHoldsMostIsShutDown) {
  ledger_.SetLimit(500000);
  Pair large;
  Pair small;
  Pair other;
  for (const Pair* pair : {&large, &small, &other}) {
    ledger_.Add(pair->server.get());
  }
  EXPECT_TRUE(Receive(large.server.get(), PartOfACall(300000)));
  EXPECT_TRUE(Receive(small.server.get(), PartOfACall(100)));
  EXPECT_TRUE(Receive(other.server.get(), PartOfACall(200000)));
  EXPECT_EQ(ledger_.held(), 2 * kCall + 200100);
  EXPECT_TRUE(IsShutDown(large));
  EXPECT_FALSE(IsShutDown(small));
  EXPECT_FALSE(IsShutDown(other));
  // It is not followed any more.
  EXPECT_TRUE(Receive(large.server.get(), PartOfACall(300000)));
  EXPECT_EQ(ledger_.held(), 2 * kCall + 200100);
}

TEST_F(InboundLedgerTest, ReaderLearnsThatItsOwnConnectionHasToGo) {
  ledger_.SetLimit(100000);
  Pair pair;
  ledger_.Add(pair.server.get());
  EXPECT_FALSE(Receive(pair.server.get(), PartOfACall(200000)));
  EXPECT_TRUE(IsShutDown(pair));
  EXPECT_EQ(ledger_.held(), 0u);
}

TEST_F(InboundLedgerTest, NumberThatComesAgainIsAnotherConnection) {
  auto pair = std::make_unique<Pair>();
  const int fd = pair->server.get();
  ledger_.Add(fd);
  EXPECT_TRUE(Receive(fd, PartOfACall(1000)));
  pair.reset();
  Pair next;
  ASSERT_EQ(dup2(next.server.get(), fd), fd);
  const UniqueFd again(fd);
  EXPECT_TRUE(Receive(fd, PartOfACall(1000)));
  EXPECT_EQ(ledger_.held(), 0u);
  ledger_.Add(fd);
  EXPECT_TRUE(Receive(fd, PartOfACall(1000)));
  EXPECT_EQ(ledger_.held(), kCall + 1000);
}

TEST_F(InboundLedgerTest, ClosedConnectionsGoBeforeOpenOnes) {
  ledger_.SetLimit(500000);
  auto closed = std::make_unique<Pair>();
  Pair open;
  ledger_.Add(closed->server.get());
  ledger_.Add(open.server.get());
  EXPECT_TRUE(Receive(closed->server.get(), PartOfACall(200000)));
  closed.reset();
  EXPECT_TRUE(Receive(open.server.get(), PartOfACall(400000)));
  EXPECT_FALSE(IsShutDown(open));
  EXPECT_EQ(ledger_.held(), kCall + 400000);
}

TEST_F(InboundLedgerTest, ProcessTellsItsLedger) {
  InboundLedger& ledger = InboundLedger::OfProcess();
  Pair pair;
  ledger.Add(pair.server.get());
  const std::string sent = PartOfACall(100);
  ASSERT_EQ(write(pair.client.get(), sent.data(), sent.size()),
            static_cast<ssize_t>(sent.size()));
  std::string buffer(sent.size(), '\0');
  iovec part = {buffer.data(), buffer.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ASSERT_EQ(recvmsg(pair.server.get(), &message, 0),
            static_cast<ssize_t>(sent.size()));
  EXPECT_EQ(ledger.held(), kCall + 100);
}

}  // namespace
}  // namespace simvisor::server
