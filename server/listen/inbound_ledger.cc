#include "server/listen/inbound_ledger.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/types/span.h"
#include "server/listen/unique_fd.h"

namespace simvisor::server {
namespace {

// A number that identifies the socket while the system runs; 0 if `fd` is not a
// socket.
uint64_t CookieOf(int fd) {
  uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie
                                                                    : 0;
}

// Calls `take` with the first `size` bytes of `message`, part by part, until it
// returns false; returns whether it never did.
template <typename Function>
bool ForEachPart(const msghdr& message, size_t size, const Function& take) {
  for (size_t i = 0; size > 0 && i < message.msg_iovlen; ++i) {
    const iovec& part = message.msg_iov[i];
    const size_t taken = std::min(size, part.iov_len);
    size -= taken;
    if (!take(absl::MakeConstSpan(static_cast<const uint8_t*>(part.iov_base),
                                  taken))) {
      return false;
    }
  }
  return true;
}

// Passes the streams that end with `bytes` to `frames`.
void EndStreams(absl::Span<const uint8_t> bytes, Http2Frames& sent,
                InboundFrames& frames) {
  Http2Frames::Piece piece;
  while (sent.Next(bytes, piece)) {
    if (piece.left == 0 && piece.frame.EndsStream()) {
      frames.Ended(piece.frame.stream);
    }
  }
}

}  // namespace

InboundLedger& InboundLedger::OfProcess() {
  // Never destroyed, since gRPC's threads read until the process ends.
  static InboundLedger* const kLedger = new InboundLedger;
  return *kLedger;
}

void InboundLedger::SetLimit(uint64_t bytes) {
  absl::MutexLock lock(&mu_);
  limit_ = bytes;
}

void InboundLedger::Add(int fd) {
  const uint64_t cookie = CookieOf(fd);
  if (cookie == 0) return;
  absl::MutexLock lock(&mu_);
  const auto at = connections_.find(fd);
  if (at != connections_.end()) Forget(at);
  connections_[fd].cookie = cookie;
  is_used_.store(true, std::memory_order_relaxed);
}

bool InboundLedger::Take(int fd, const msghdr& message, size_t size) {
  if (!is_used_.load(std::memory_order_relaxed)) return true;
  const uint64_t cookie = CookieOf(fd);
  absl::MutexLock lock(&mu_);
  const auto at = Find(fd, cookie);
  if (at == connections_.end()) return true;
  if (size == 0) {
    Forget(at);
    return true;
  }
  at->second.taken += size;
  InboundFrames& frames = at->second.frames;
  held_ -= frames.held();
  const bool ok = ForEachPart(message, size,
                              [&](auto bytes) { return frames.Feed(bytes); });
  held_ += frames.held();
  if (!ok) {
    Forget(at);
    return false;
  }
  if (held_ <= limit_) return true;
  KeepLimit();
  return connections_.contains(fd);
}

void InboundLedger::Sent(int fd, const msghdr& message, size_t size) {
  if (!is_used_.load(std::memory_order_relaxed)) return;
  const uint64_t cookie = CookieOf(fd);
  absl::MutexLock lock(&mu_);
  const auto at = Find(fd, cookie);
  if (at == connections_.end()) return;
  Connection& connection = at->second;
  held_ -= connection.frames.held();
  ForEachPart(message, size, [&](auto bytes) {
    EndStreams(bytes, connection.sent, connection.frames);
    return true;
  });
  held_ += connection.frames.held();
}

uint64_t InboundLedger::TakenFrom(int fd) const {
  absl::MutexLock lock(&mu_);
  const auto at = connections_.find(fd);
  return at == connections_.end() ? 0 : at->second.taken;
}

InboundLedger::Connections::iterator InboundLedger::Find(int fd,
                                                         uint64_t cookie) {
  const auto at = connections_.find(fd);
  if (at == connections_.end() || at->second.cookie == cookie) return at;
  Forget(at);
  return connections_.end();
}

void InboundLedger::Forget(Connections::iterator at) {
  held_ -= at->second.frames.held();
  connections_.erase(at);
}

void InboundLedger::Prune() {
  for (auto it = connections_.begin(); it != connections_.end();) {
    const auto current = it++;
    if (CookieOf(current->first) != current->second.cookie) Forget(current);
  }
}

void InboundLedger::KeepLimit() {
  Prune();
  while (held_ > limit_ && !connections_.empty()) ShutDownLargest();
}

void InboundLedger::ShutDownLargest() {
  const auto largest =
      std::max_element(connections_.begin(), connections_.end(),
                       [](const auto& a, const auto& b) {
                         return a.second.frames.held() < b.second.frames.held();
                       });
  // Use a duplicate descriptor: gRPC may close its own at any moment.  If no
  // descriptor is left, use gRPC's.
  const UniqueFd own(fcntl(largest->first, F_DUPFD_CLOEXEC, 0));
  const int fd = own.valid() ? own.get() : largest->first;
  if (CookieOf(fd) == largest->second.cookie) shutdown(fd, SHUT_RDWR);
  Forget(largest);
}

}  // namespace simvisor::server

// These replace the system's functions in the whole program, including gRPC's
// library.

extern "C" ssize_t recvmsg(int fd, msghdr* message, int flags) {
  using Function = ssize_t (*)(int, msghdr*, int);
  static const auto kSystem =
      reinterpret_cast<Function>(dlsym(RTLD_NEXT, "recvmsg"));
  const ssize_t size = kSystem(fd, message, flags);
  if (size < 0 || (flags & (MSG_PEEK | MSG_ERRQUEUE)) != 0) return size;
  using simvisor::server::InboundLedger;
  if (InboundLedger::OfProcess().Take(fd, *message, size)) return size;
  shutdown(fd, SHUT_RDWR);
  return 0;
}

extern "C" ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  using Function = ssize_t (*)(int, const msghdr*, int);
  static const auto kSystem =
      reinterpret_cast<Function>(dlsym(RTLD_NEXT, "sendmsg"));
  const ssize_t size = kSystem(fd, message, flags);
  using simvisor::server::InboundLedger;
  if (size > 0) InboundLedger::OfProcess().Sent(fd, *message, size);
  return size;
}
