#include "server/inbound_ledger.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/types/span.h"
#include "server/unique_fd.h"

namespace simvisor::server {
namespace {

// A number that no other socket gets while the system runs; 0 if `fd` is none.
uint64_t CookieOf(int fd) {
  uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie
                                                                    : 0;
}

bool Feed(const msghdr& message, size_t size, InboundFrames& frames) {
  for (size_t i = 0; size > 0 && i < message.msg_iovlen; ++i) {
    const iovec& part = message.msg_iov[i];
    const size_t taken = std::min(size, part.iov_len);
    size -= taken;
    if (!frames.Feed(absl::MakeConstSpan(
            static_cast<const uint8_t*>(part.iov_base), taken))) {
      return false;
    }
  }
  return true;
}

}  // namespace

InboundLedger& InboundLedger::OfProcess() {
  // Never destroyed, since gRPC's threads read to the end.
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
  const auto at = connections_.find(fd);
  if (at == connections_.end()) return true;
  if (at->second.cookie != cookie || size == 0) {
    Forget(at);
    return true;
  }
  at->second.taken += size;
  InboundFrames& frames = at->second.frames;
  held_ -= frames.held();
  const bool ok = Feed(message, size, frames);
  held_ += frames.held();
  if (!ok) {
    Forget(at);
    return false;
  }
  if (held_ <= limit_) return true;
  KeepLimit();
  return connections_.contains(fd);
}

uint64_t InboundLedger::TakenFrom(int fd) const {
  absl::MutexLock lock(&mu_);
  const auto at = connections_.find(fd);
  return at == connections_.end() ? 0 : at->second.taken;
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
  // By a descriptor of our own: gRPC may close its one at any moment.  If none
  // is left, gRPC's has to do.
  const UniqueFd own(fcntl(largest->first, F_DUPFD_CLOEXEC, 0));
  const int fd = own.valid() ? own.get() : largest->first;
  if (CookieOf(fd) == largest->second.cookie) shutdown(fd, SHUT_RDWR);
  Forget(largest);
}

}  // namespace simvisor::server

// Stands in for the system's in all of the program, gRPC's library included.
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
