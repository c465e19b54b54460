#include "server/listen/acceptor.h"

#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/listen/peer_name.h"

namespace simvisor::server {
namespace {

using std::chrono::milliseconds;

// What a client sends first (RFC 9113, section 3.4).
constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// How long to wait for room before the next try.
constexpr milliseconds kPause(20);
// The client of a silent connection this young may be about to send.
constexpr milliseconds kSettle(1000);
// Checking all connections costs less than 1 ms, so this keeps the cost below a
// tenth of a processor.
constexpr milliseconds kPruneEvery(10);
constexpr milliseconds kListenEvery(1000);
// The most quiet connections closed per wait for room.
constexpr int kQuietAtOnce = 8;
constexpr std::chrono::seconds kWarnEvery(10);

// The most connections accepted from one socket before other events get a turn.
constexpr int kAcceptsAtOnce = 16;
constexpr int kEventsAtOnce = 64;

Clock::Time Now() { return SystemClock()->Now(); }

// True if an error of accept() concerns one connection, not the socket.
bool IsOfOneConnection(int error) {
  switch (error) {
    case ECONNABORTED:
    case EINTR:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Start(
    std::vector<int> listeners, const ConnectionLimits& limits, Serve serve,
    ServedConnections::Taken taken) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  UniqueFd stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll.valid() || !stop.valid()) {
    return absl::ErrnoToStatus(errno, "cannot wait for connections");
  }
  std::unique_ptr<Acceptor> acceptor(
      new Acceptor(std::move(listeners), limits, std::move(serve),
                   std::move(taken), std::move(epoll), std::move(stop)));
  bool watched = acceptor->Watch(acceptor->stop_.get(), EPOLLIN);
  for (const int listener : acceptor->listeners_) {
    watched = watched && acceptor->Watch(listener, EPOLLIN);
  }
  if (!watched) {
    return absl::ErrnoToStatus(errno, "cannot wait for connections");
  }
  acceptor->thread_ = std::thread(&Acceptor::Run, acceptor.get());
  return acceptor;
}

Acceptor::Acceptor(std::vector<int> listeners, const ConnectionLimits& limits,
                   Serve serve, ServedConnections::Taken taken, UniqueFd epoll,
                   UniqueFd stop)
    : listeners_(std::move(listeners)),
      limits_(limits),
      serve_(std::move(serve)),
      taken_(std::move(taken)),
      epoll_(std::move(epoll)),
      stop_(std::move(stop)) {}

Acceptor::~Acceptor() { Stop(); }

void Acceptor::Stop() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  // Cannot fail: the counter is far from full.
  [[maybe_unused]] const ssize_t written = write(stop_.get(), &one, sizeof one);
  thread_.join();
}

bool Acceptor::Watch(int fd, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Acceptor::Run() {
  bool go_on = true;
  while (go_on) {
    try {
      go_on = HandleEvents();
    } catch (const std::bad_alloc&) {
      // The connection that needed the memory is closed.  Silent connections
      // whose bytes went unnoticed end with their timeout, and their clients
      // try again.
      Pause();
    }
    CloseOverdue();
    ListenToServed();
    if (paused_ && Now() >= paused_until_) Resume();
  }
  while (!silent_.empty()) silent_.CloseOldest();
}

bool Acceptor::HandleEvents() {
  std::array<epoll_event, kEventsAtOnce> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kEventsAtOnce,
                               MillisecondsToWait());
  for (int i = 0; i < count; ++i) {
    const int fd = events[i].data.fd;
    if (fd == stop_.get()) return false;
    if (silent_.Contains(fd)) {
      Examine(fd);
    } else if (std::find(listeners_.begin(), listeners_.end(), fd) !=
               listeners_.end()) {
      AcceptFrom(fd);
    }
  }
  return true;
}

int Acceptor::MillisecondsToWait() const {
  Clock::Time until = listen_at_;
  if (paused_) until = std::min(until, paused_until_);
  if (!silent_.empty()) {
    until = std::min(until,
                     silent_.OldestSince() +
                         absl::ToChronoMilliseconds(limits_.handshake_timeout));
  }
  if (until == Clock::Time::max()) return -1;
  // Rounded up, so that the deadline has passed when the wait ends.
  const auto left = std::chrono::ceil<milliseconds>(until - Now());
  return static_cast<int>(
      std::clamp<milliseconds::rep>(left.count(), 0, 3'600'000));
}

void Acceptor::AcceptFrom(int listener) {
  for (int i = 0; i < kAcceptsAtOnce && !paused_; ++i) {
    switch (AcceptOne(listener)) {
      case Outcome::kAccepted:
        break;
      case Outcome::kNone:
        return;
      case Outcome::kNoRoom:
        Pause();
        return;
    }
  }
}

Acceptor::Outcome Acceptor::AcceptOne(int listener) {
  const bool full = IsFull();
  if (full && !HasSettledSilentOne()) {
    Warn(absl::StrCat(limits_.max_connections,
                      " connections are open, as many as are allowed "
                      "(--max-connections): new ones wait"));
    CloseQuiet("");
    return Outcome::kNoRoom;
  }
  UniqueFd fd(
      accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.valid()) {
    if (errno == EAGAIN) return Outcome::kNone;
    if (IsOfOneConnection(errno)) return Outcome::kAccepted;
    Warn(absl::StrCat("new connections wait: ",
                      absl::ErrnoToStatus(errno, "accept").message()));
    return Outcome::kNoRoom;
  }
  // Only now is there a connection that needs the room.
  if (full) silent_.CloseOldest();
  std::string peer = PeerName(fd.get());
  if (MakeRoomFor(peer)) {
    Keep(std::move(fd), listener, std::move(peer));
  } else {
    Warn(absl::StrCat(peer, " has ", limits_.max_per_peer(),
                      " connections open, its share of --max-connections: "
                      "its new ones are closed"));
    CloseQuiet(peer);
  }
  return Outcome::kAccepted;
}

bool Acceptor::IsFull() {
  if (Count() < limits_.max_connections) return false;
  Prune();
  return Count() >= limits_.max_connections;
}

bool Acceptor::HasSettledSilentOne() const {
  return !silent_.empty() && Now() - silent_.OldestSince() >= kSettle;
}

bool Acceptor::MakeRoomFor(const std::string& peer) {
  if (CountOf(peer) < limits_.max_per_peer()) return true;
  Prune();
  return CountOf(peer) < limits_.max_per_peer() || silent_.CloseOldestOf(peer);
}

void Acceptor::Keep(UniqueFd fd, int listener, std::string peer) {
  // Epoll also reports bytes that came before this call.
  if (!Watch(fd.get(), EPOLLIN | EPOLLRDHUP | EPOLLET)) return;
  silent_.Add({.fd = std::move(fd),
               .listener = listener,
               .peer = std::move(peer),
               .since = Now()});
}

void Acceptor::Examine(int fd) {
  std::array<char, kPreface.size()> bytes;
  const ssize_t size =
      recv(fd, bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  const absl::string_view start(bytes.data(), std::max<ssize_t>(size, 0));
  if (start == kPreface) {
    PassOn(fd);
  } else if (start.empty() || !absl::StartsWith(kPreface, start)) {
    silent_.Take(fd);  // closed, or does not speak HTTP/2
  }
}

void Acceptor::PassOn(int fd) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  SilentConnections::Connection connection = silent_.Take(fd);
  served_.Add(fd, connection.peer, Now());
  serve_(std::move(connection.fd), connection.listener);
}

void Acceptor::CloseOverdue() {
  const Clock::Time now = Now();
  while (!silent_.empty() &&
         now - silent_.OldestSince() >=
             absl::ToChronoMilliseconds(limits_.handshake_timeout)) {
    silent_.CloseOldest();
  }
}

void Acceptor::ListenToServed() {
  // Count silent connections as well: they may take so many places that the
  // bound is reached with few served ones.
  if (Count() < limits_.max_connections / 2) {
    listen_at_ = Clock::Time::max();
    return;
  }
  const Clock::Time now = Now();
  const bool first = listen_at_ == Clock::Time::max();
  if (!first && now < listen_at_) return;
  // A connection with a call is heard twice in its idle timeout; the interval
  // must be shorter, so as not to miss it.
  listen_at_ =
      now + std::min(kListenEvery,
                     absl::ToChronoMilliseconds(limits_.idle_timeout / 4));
  served_.Prune();
  served_.Listen(taken_, now);
  // What was heard before is unknown.
  if (first) served_.HearAll(now);
}

void Acceptor::CloseQuiet(const std::string& peer) {
  // The bound may be reached before the first check for quiet connections.
  if (listen_at_ == Clock::Time::max()) return;
  const Clock::Time now = Now();
  if (now - closed_quiet_at_ < kPause) return;
  closed_quiet_at_ = now;
  const Clock::Time before =
      now - absl::ToChronoMilliseconds(limits_.idle_timeout);
  for (int i = 0; i < kQuietAtOnce; ++i) {
    if (!served_.ShutDownQuiet(before, peer)) return;
  }
}

void Acceptor::Pause() {
  paused_ = true;
  paused_until_ = Now() + kPause;
  for (const int listener : listeners_) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener, nullptr);
  }
}

void Acceptor::Resume() {
  paused_ = false;
  for (const int listener : listeners_) {
    // If memory for it is short, try again a little later.
    if (!Watch(listener, EPOLLIN) && errno != EEXIST) return Pause();
  }
}

void Acceptor::Prune() {
  const Clock::Time now = Now();
  if (now - pruned_at_ < kPruneEvery) return;
  pruned_at_ = now;
  served_.Prune();
}

size_t Acceptor::CountOf(const std::string& peer) const {
  return silent_.CountOf(peer) + served_.CountOf(peer);
}

void Acceptor::Warn(absl::string_view text) {
  const Clock::Time now = Now();
  if (now - warned_at_ < kWarnEvery) return;
  warned_at_ = now;
  spdlog::warn("{}", std::string(text));
}

}  // namespace simvisor::server
