#include "server/listen/inbound_ledger.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "server/listen/unique_fd.h"
#include "tests/server/listen/connected_pair.h"
#include "tests/server/listen/http2_testing.h"

namespace simvisor::server {
namespace {

constexpr uint64_t kCallBytes = InboundFrames::kCallBytes;

struct Pair {
  Pair() : Pair(ConnectedPair()) {}
  explicit Pair(std::pair<UniqueFd, UniqueFd> ends)
      : server(std::move(ends.first)), client(std::move(ends.second)) {}

  UniqueFd server;
  UniqueFd client;
};

// Begins a call, and sends `bytes` of its message of 1 MiB.
std::string PartOfACall(uint32_t bytes, uint32_t stream = 1) {
  return (stream == 1 ? Preface() : "") +
         Frame(kHeaders, kEndHeaders, stream, "") +
         Frame(kData, 0, stream, Prefix(1 << 20) + std::string(bytes, 'x'));
}

// What a gRPC server sends first, followed by its refusal of a call.
std::string Refusal(uint32_t stream) {
  return Frame(kSettings, 0, 0, "123456") + Frame(kPing, 1, 0, "12345678") +
         Frame(kHeaders, kEndHeaders, stream, "headers") +
         Frame(kHeaders, kEndHeaders | kEnd, stream, "trailers") +
         Frame(kReset, 0, stream, "1234");
}

class InboundLedgerTest : public testing::Test {
 protected:
  // Does what the program's recvmsg() does, with the test's own ledger.
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

  // Does what the program's sendmsg() does when only `size` of `bytes`, in two
  // parts, have been sent.
  void Send(int fd, std::string bytes, size_t size) {
    const size_t half = bytes.size() / 2;
    iovec parts[2] = {{bytes.data(), half},
                      {bytes.data() + half, bytes.size() - half}};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    ledger_.Sent(fd, message, size);
  }

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
  EXPECT_EQ(ledger_.held(), 2 * kCallBytes + 1100);
  EXPECT_EQ(ledger_.TakenFrom(first.server.get()), PartOfACall(1000).size());
  EXPECT_EQ(ledger_.TakenFrom(first.client.get()), 0u);
  EXPECT_TRUE(ReceiveEnd(first.server.get()));
  EXPECT_EQ(ledger_.held(), kCallBytes + 100);
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
  EXPECT_EQ(ledger_.held(), 2 * kCallBytes + 200100);
  EXPECT_TRUE(IsShutDown(large));
  EXPECT_FALSE(IsShutDown(small));
  EXPECT_FALSE(IsShutDown(other));
  // It is no longer followed.
  EXPECT_TRUE(Receive(large.server.get(), PartOfACall(300000)));
  EXPECT_EQ(ledger_.held(), 2 * kCallBytes + 200100);
}

TEST_F(InboundLedgerTest, ReaderLearnsThatItsOwnConnectionMustEnd) {
  ledger_.SetLimit(100000);
  Pair pair;
  ledger_.Add(pair.server.get());
  EXPECT_FALSE(Receive(pair.server.get(), PartOfACall(200000)));
  EXPECT_TRUE(IsShutDown(pair));
  EXPECT_EQ(ledger_.held(), 0u);
}

TEST_F(InboundLedgerTest, StreamThatTheDaemonEndsHoldsNothing) {
  Pair pair;
  const int fd = pair.server.get();
  ledger_.Add(fd);
  EXPECT_TRUE(Receive(fd, PartOfACall(1000)));
  EXPECT_TRUE(Receive(fd, PartOfACall(100, 3)));
  EXPECT_EQ(ledger_.held(), 2 * kCallBytes + 1100);
  // An answer, after which the stream goes on.
  const std::string answer =
      Frame(kHeaders, kEndHeaders, 1, "headers") + Frame(kData, 0, 1, "data");
  Send(fd, answer, answer.size());
  EXPECT_EQ(ledger_.held(), 2 * kCallBytes + 1100);
  Send(fd, Refusal(1), Refusal(1).size());
  EXPECT_EQ(ledger_.held(), kCallBytes + 100);
  EXPECT_TRUE(Receive(fd, Frame(kData, 0, 1, std::string(500, 'x'))));
  EXPECT_EQ(ledger_.held(), kCallBytes + 100);
  EXPECT_EQ(ledger_.TakenFrom(fd),
            PartOfACall(1000).size() + PartOfACall(100, 3).size() + 9 + 500);
}

TEST_F(InboundLedgerTest, EachWayToEndAStreamCounts) {
  Pair pair;
  const int fd = pair.server.get();
  ledger_.Add(fd);
  uint32_t stream = 1;
  for (const auto& [kind, flags] :
       {std::pair(kHeaders, kEnd), std::pair(kData, kEnd),
        std::pair(kReset, uint8_t{0})}) {
    EXPECT_TRUE(Receive(fd, PartOfACall(1000, stream)));
    EXPECT_EQ(ledger_.held(), kCallBytes + 1000);
    const std::string end = Frame(kind, flags, stream, "1234");
    Send(fd, end, end.size());
    EXPECT_EQ(ledger_.held(), 0u);
    stream += 2;
  }
}

TEST_F(InboundLedgerTest, EndCountsOnceItIsSentToItsLastByte) {
  // The payload looks like the end of another stream.
  const std::string before =
      Frame(kData, 0, 1, Frame(kReset, 0, 3, "1234") + "x");
  const std::string end = Frame(kHeaders, kEndHeaders | kEnd, 1, "trailers");
  const std::string all = before + end;
  for (size_t sent = 0; sent <= all.size(); ++sent) {
    Pair pair;
    const int fd = pair.server.get();
    ledger_.Add(fd);
    EXPECT_TRUE(Receive(fd, PartOfACall(1000)));
    EXPECT_TRUE(Receive(fd, PartOfACall(100, 3)));
    // Part of it is sent, then the rest is tried again.
    Send(fd, all, sent);
    ASSERT_EQ(ledger_.held(),
              sent == all.size() ? kCallBytes + 100 : 2 * kCallBytes + 1100)
        << sent;
    Send(fd, all.substr(sent), all.size() - sent);
    ASSERT_EQ(ledger_.held(), kCallBytes + 100) << sent;
    EXPECT_TRUE(ReceiveEnd(fd));
  }
}

TEST_F(InboundLedgerTest, DataSentByteByByteIsFollowed) {
  Pair pair;
  const int fd = pair.server.get();
  ledger_.Add(fd);
  EXPECT_TRUE(Receive(fd, PartOfACall(1000)));
  EXPECT_TRUE(Receive(fd, PartOfACall(100, 3)));
  const std::string refusals = Refusal(1) + Refusal(3);
  for (const char byte : refusals) Send(fd, std::string(1, byte), 1);
  EXPECT_EQ(ledger_.held(), 0u);
}

TEST_F(InboundLedgerTest, RefusedCallsDoNotAddUp) {
  ledger_.SetLimit(10 << 20);
  Pair pair;
  const int fd = pair.server.get();
  ledger_.Add(fd);
  for (uint32_t stream = 1; stream < 600; stream += 2) {
    ASSERT_TRUE(Receive(fd, PartOfACall(1000000, stream)));
    Send(fd, Refusal(stream), Refusal(stream).size());
  }
  EXPECT_FALSE(IsShutDown(pair));
  EXPECT_EQ(ledger_.held(), 0u);
}

TEST_F(InboundLedgerTest, DataOfOtherSocketsEndsNothing) {
  Pair pair;
  Pair other;
  ledger_.Add(pair.server.get());
  ledger_.Add(other.server.get());
  EXPECT_TRUE(Receive(pair.server.get(), PartOfACall(1000)));
  Send(other.server.get(), Refusal(1), Refusal(1).size());
  Send(pair.client.get(), Refusal(1), Refusal(1).size());
  EXPECT_EQ(ledger_.held(), kCallBytes + 1000);
  // Nor does data sent on a number that now belongs to another socket; but the
  // first socket is forgotten then.
  const int fd = pair.server.get();
  Pair next;
  ASSERT_EQ(dup2(next.server.get(), fd), fd);
  Send(fd, Refusal(5), Refusal(5).size());
  EXPECT_EQ(ledger_.held(), 0u);
}

TEST_F(InboundLedgerTest, ReusedNumberIsAnotherConnection) {
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
  EXPECT_EQ(ledger_.held(), kCallBytes + 1000);
}

TEST_F(InboundLedgerTest, ClosedConnectionsAreRemovedBeforeOpenOnes) {
  ledger_.SetLimit(500000);
  auto closed = std::make_unique<Pair>();
  Pair open;
  ledger_.Add(closed->server.get());
  ledger_.Add(open.server.get());
  EXPECT_TRUE(Receive(closed->server.get(), PartOfACall(200000)));
  closed.reset();
  EXPECT_TRUE(Receive(open.server.get(), PartOfACall(400000)));
  EXPECT_FALSE(IsShutDown(open));
  EXPECT_EQ(ledger_.held(), kCallBytes + 400000);
}

// A message of one part.
struct OnePart {
  OnePart(char* data, size_t size) : part{data, size} {
    message.msg_iov = &part;
    message.msg_iovlen = 1;
  }
  OnePart(const OnePart&) = delete;
  OnePart& operator=(const OnePart&) = delete;

  iovec part;
  msghdr message = {};
};

// Makes the server read this much of a call by recvmsg().
void ReadPartOfACall(const Pair& pair, size_t size) {
  const std::string sent = PartOfACall(size);
  ASSERT_EQ(write(pair.client.get(), sent.data(), sent.size()),
            static_cast<ssize_t>(sent.size()));
  std::string buffer(sent.size(), '\0');
  OnePart part(buffer.data(), buffer.size());
  ASSERT_EQ(recvmsg(pair.server.get(), &part.message, 0),
            static_cast<ssize_t>(sent.size()));
}

TEST_F(InboundLedgerTest, ProcessReportsToItsLedger) {
  InboundLedger& ledger = InboundLedger::OfProcess();
  Pair pair;
  ledger.Add(pair.server.get());
  ReadPartOfACall(pair, 100);
  EXPECT_EQ(ledger.held(), kCallBytes + 100);

  std::string refusal = Refusal(1);
  const OnePart part(refusal.data(), refusal.size());
  ASSERT_EQ(sendmsg(pair.server.get(), &part.message, 0),
            static_cast<ssize_t>(refusal.size()));
  EXPECT_EQ(ledger.held(), 0u);
}

TEST_F(InboundLedgerTest, ProcessCountsTheBytesThatASendTook) {
  InboundLedger& ledger = InboundLedger::OfProcess();
  Pair pair;
  const int fd = pair.server.get();
  ledger.Add(fd);
  ReadPartOfACall(pair, 100);

  // More than the socket's buffer holds, followed by the end of the stream.
  std::string answer;
  for (int i = 0; i < 400; ++i) {
    answer += Frame(kData, 0, 1, std::string(16384, 'x'));
  }
  answer += Refusal(1);
  size_t at = 0;
  std::string taken(1 << 20, '\0');
  while (at < answer.size()) {
    EXPECT_EQ(ledger.held(), kCallBytes + 100);
    const OnePart part(answer.data() + at, answer.size() - at);
    const ssize_t size = sendmsg(fd, &part.message, MSG_DONTWAIT);
    if (size > 0) {
      at += size;
    } else {
      EXPECT_EQ(errno, EAGAIN);
    }
    ASSERT_GT(read(pair.client.get(), taken.data(), taken.size()), 0);
  }
  EXPECT_EQ(ledger.held(), 0u);
}

}  // namespace
}  // namespace simvisor::server
