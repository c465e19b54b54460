// Connections to an acceptor whose server is the test.

#include "server/listen/acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "server/listen/listener.h"
#include "tests/support/sanitized.h"
#include "tests/support/scoped_folder.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr int kLongMs = 20000;
// Long enough for what must not happen to happen.
constexpr int kShortMs = 100;

class ServerAcceptorTest : public testing::Test {
 protected:
  ~ServerAcceptorTest() override { acceptor_ = nullptr; }

  void Start(const ConnectionLimits& limits) {
    auto listener = Listener::Open(*ListenAddress::Parse("unix:" + path_));
    ASSERT_THAT(listener, IsOk());
    listener_ = std::make_unique<Listener>(*std::move(listener));
    auto tcp = Listener::Open(*ListenAddress::Parse("127.0.0.1:0"));
    ASSERT_THAT(tcp, IsOk());
    tcp_ = std::make_unique<Listener>(*std::move(tcp));
    auto acceptor = Acceptor::Start(
        {listener_->sockets().front().get(), tcp_->sockets().front().get()},
        limits,
        [this](UniqueFd connection, int) {
          absl::MutexLock lock(&mu_);
          served_.push_back(std::make_unique<UniqueFd>(std::move(connection)));
        },
        [this](int connection) {
          absl::MutexLock lock(&mu_);
          return taken_[connection];
        });
    ASSERT_THAT(acceptor, IsOk());
    acceptor_ = *std::move(acceptor);
  }

  UniqueFd Connect() {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un name = {};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, path_.data(), path_.size());
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&name),
                      sizeof name),
              0);
    return fd;
  }

  // Connects as a different peer than Connect().
  UniqueFd ConnectByTcp() {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in name = {};
    name.sin_family = AF_INET;
    name.sin_port = htons(static_cast<uint16_t>(tcp_->address().port()));
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&name),
                      sizeof name),
              0);
    return fd;
  }

  static void Send(const UniqueFd& fd, const std::string& bytes) {
    EXPECT_EQ(send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }

  UniqueFd ConnectAndSpeak() {
    UniqueFd fd = Connect();
    Send(fd, kPreface);
    return fd;
  }

  // True if the other end closes `fd` within `timeout_ms`.
  static bool IsCut(const UniqueFd& fd, int timeout_ms = kLongMs) {
    pollfd file = {.fd = fd.get(), .events = 0, .revents = 0};
    return poll(&file, 1, timeout_ms) == 1;
  }

  // True if `count` connections, now open, get served.
  bool AwaitServed(size_t count, int timeout_ms = kLongMs) {
    absl::MutexLock lock(&mu_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return served_.size() >= count;
    };
    return mu_.AwaitWithTimeout(absl::Condition(&enough),
                                absl::Milliseconds(timeout_ms));
  }

  // Reads what has arrived on the connection served as `index`, as gRPC would.
  void ReadServed(size_t index) {
    absl::MutexLock lock(&mu_);
    std::array<char, 64> bytes;
    const int fd = served_[index]->get();
    const ssize_t size = recv(fd, bytes.data(), bytes.size(), 0);
    EXPECT_GT(size, 0);
    if (size > 0) taken_[fd] += static_cast<uint64_t>(size);
  }

  // Closes the server's ends.
  void CloseServed() {
    absl::MutexLock lock(&mu_);
    served_.clear();
  }

  const ScopedFolder folder_;
  const std::string path_ = folder_ / "s";
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Listener> tcp_;
  absl::Mutex mu_;
  std::vector<std::unique_ptr<UniqueFd>> served_ ABSL_GUARDED_BY(mu_);
  // Bytes by descriptor.
  absl::flat_hash_map<int, uint64_t> taken_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Acceptor> acceptor_;
};

TEST_F(ServerAcceptorTest, ConnectionThatSpeaksIsServedWithAllItsBytes) {
  Start({});
  const UniqueFd client = ConnectAndSpeak();
  ASSERT_TRUE(AwaitServed(1));
  absl::MutexLock lock(&mu_);
  std::array<char, 64> bytes;
  EXPECT_EQ(recv(served_[0]->get(), bytes.data(), bytes.size(), 0), 24);
  EXPECT_NE(fcntl(served_[0]->get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(served_[0]->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(ServerAcceptorTest, PrefaceInPiecesIsWaitedFor) {
  Start({});
  const UniqueFd client = Connect();
  Send(client, "PRI * HT");
  EXPECT_FALSE(AwaitServed(1, kShortMs));
  Send(client, "TP/2.0\r\n\r\nSM\r\n\r\nand more");
  EXPECT_TRUE(AwaitServed(1));
}

TEST_F(ServerAcceptorTest, OtherProtocolIsClosed) {
  Start({});
  const UniqueFd client = Connect();
  Send(client, "GET / HTTP/1.1\r\n");
  EXPECT_TRUE(IsCut(client));
  EXPECT_FALSE(AwaitServed(1, 0));
}

TEST_F(ServerAcceptorTest, SilentConnectionIsClosedInTime) {
  Start({.handshake_timeout = absl::Milliseconds(50)});
  const UniqueFd silent = Connect();
  const UniqueFd slow = Connect();
  Send(slow, "PRI");
  EXPECT_TRUE(IsCut(silent));
  EXPECT_TRUE(IsCut(slow));
}

TEST_F(ServerAcceptorTest, PeerAtItsShareLosesItsOldestSilentConnection) {
  Start({.max_connections = 4});  // one peer may have three
  const UniqueFd first = Connect();
  const UniqueFd second = Connect();
  const UniqueFd third = Connect();
  const UniqueFd client = ConnectAndSpeak();
  EXPECT_TRUE(AwaitServed(1));
  EXPECT_TRUE(IsCut(first));
  EXPECT_FALSE(IsCut(second, 0));
  EXPECT_FALSE(IsCut(third, 0));
}

TEST_F(ServerAcceptorTest, OldestSilentConnectionMakesRoomAfterASecond) {
  Start({.max_connections = 2});  // of which one peer may have both
  const absl::Time start = absl::Now();
  const UniqueFd first = Connect();
  const UniqueFd second = Connect();
  const UniqueFd client = ConnectAndSpeak();
  EXPECT_TRUE(AwaitServed(1));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(900));
  EXPECT_TRUE(IsCut(first));
  EXPECT_FALSE(IsCut(second, 0));
}

TEST_F(ServerAcceptorTest,
       PeerAtItsShareIsRefusedUntilOneOfItsConnectionsEnds) {
  Start({.max_connections = 4});
  const UniqueFd a = ConnectAndSpeak();
  const UniqueFd b = ConnectAndSpeak();
  const UniqueFd c = ConnectAndSpeak();
  ASSERT_TRUE(AwaitServed(3));
  const UniqueFd refused = Connect();
  EXPECT_TRUE(IsCut(refused));
  CloseServed();
  // The count of those that ended is up to 10 ms old, so this one may be
  // refused as well, and before it speaks.
  const UniqueFd d = Connect();
  [[maybe_unused]] const ssize_t sent =
      send(d.get(), kPreface, sizeof kPreface - 1, MSG_NOSIGNAL);
  if (!AwaitServed(1, kShortMs)) {
    const UniqueFd e = ConnectAndSpeak();
    EXPECT_TRUE(AwaitServed(1));
  }
}

TEST_F(ServerAcceptorTest, NewConnectionsWaitAtTheBoundUntilOneEnds) {
  Start({.max_connections = 2});  // of which one peer may have both
  const UniqueFd a = ConnectAndSpeak();
  const UniqueFd b = ConnectAndSpeak();
  ASSERT_TRUE(AwaitServed(2));
  const UniqueFd waiting = ConnectAndSpeak();
  EXPECT_FALSE(AwaitServed(3, kShortMs));
  EXPECT_FALSE(IsCut(waiting, 0));
  CloseServed();
  EXPECT_TRUE(AwaitServed(1));
}

TEST_F(ServerAcceptorTest, QuietConnectionMakesRoomAtTheBound) {
  Start({.max_connections = 2, .idle_timeout = absl::Milliseconds(400)});
  const UniqueFd speaking = ConnectAndSpeak();
  ASSERT_TRUE(AwaitServed(1));
  const UniqueFd quiet = ConnectAndSpeak();
  ASSERT_TRUE(AwaitServed(2));
  ReadServed(0);
  const UniqueFd waiting = ConnectAndSpeak();
  const absl::Time deadline = absl::Now() + absl::Milliseconds(kLongMs);
  while (!IsCut(quiet, 20)) {
    Send(speaking, "more");  // like an answer to a ping
    ReadServed(0);
    ASSERT_LT(absl::Now(), deadline);
  }
  EXPECT_FALSE(IsCut(speaking, 0));
  CloseServed();
  EXPECT_TRUE(AwaitServed(1));
}

TEST_F(ServerAcceptorTest, SpeakingConnectionStaysAmongSilentOnes) {
  // One peer may have six, so two peers fill all eight.
  Start({.max_connections = 8, .idle_timeout = absl::Milliseconds(400)});
  const UniqueFd speaking = ConnectAndSpeak();
  ASSERT_TRUE(AwaitServed(1));
  const absl::Time start = absl::Now();
  const auto speak_until = [&](absl::Time end) {
    while (absl::Now() < end) {
      ReadServed(0);
      EXPECT_FALSE(IsCut(speaking, 20));
      Send(speaking, "more");
    }
  };
  speak_until(start + absl::Milliseconds(500));
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 6; ++i) silent.push_back(ConnectByTcp());
  for (int i = 0; i < 2; ++i) silent.push_back(Connect());
  speak_until(start + absl::Milliseconds(900));
}

TEST_F(ServerAcceptorTest, NewConnectionsWaitForDescriptors) {
  if (kSanitized) {
    // UndefinedBehaviorSanitizer opens pipes to look at an object's type.
    GTEST_SKIP() << "the sanitizer needs descriptors itself";
  }
  Start({});
  // Makes sure that the acceptor's thread is running.
  const UniqueFd first = ConnectAndSpeak();
  ASSERT_TRUE(AwaitServed(1));
  const UniqueFd client = Connect();
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const UniqueFd next(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UniqueFd spare(dup(client.get()));
  // From here on there are no free descriptors.
  std::vector<std::unique_ptr<UniqueFd>> fill;
  const rlimit none = {.rlim_cur = static_cast<rlim_t>(spare.get()) + 1,
                       .rlim_max = limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  while (true) {
    auto fd = std::make_unique<UniqueFd>(dup(client.get()));
    if (!fd->valid()) break;
    fill.push_back(std::move(fd));
  }
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path_.data(), path_.size());
  ASSERT_EQ(connect(next.get(), reinterpret_cast<const sockaddr*>(&name),
                    sizeof name),
            0);
  Send(next, kPreface);
  EXPECT_FALSE(AwaitServed(2, kShortMs));
  EXPECT_FALSE(IsCut(next, 0));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_TRUE(AwaitServed(2));
}

TEST_F(ServerAcceptorTest, StopClosesSilentConnectionsAndLeavesServedOnes) {
  Start({});
  const UniqueFd speaking = ConnectAndSpeak();
  const UniqueFd silent = Connect();
  ASSERT_TRUE(AwaitServed(1));
  acceptor_->Stop();
  listener_ = nullptr;
  EXPECT_TRUE(IsCut(silent));
  EXPECT_FALSE(IsCut(speaking, 0));
  acceptor_->Stop();
}

}  // namespace
}  // namespace simvisor::server
