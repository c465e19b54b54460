#include "server/listen/tcp_sockets.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cassert>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace simvisor::server {
namespace {

// A name with two addresses needs a port that is free for both; this is how
// often to ask for another one.
constexpr int kPortTries = 16;
// How long a keepalive ping may take: bytes that stay unacknowledged longer end
// the connection.
constexpr unsigned kUserTimeoutMs = 20000;

using Name = sockaddr_storage;
using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::Status CannotListen(const ListenAddress& address, absl::StatusCode code,
                          absl::string_view why) {
  return absl::Status(
      code, absl::StrCat("cannot listen on ", address.ToString(), ": ", why));
}

absl::Status SystemError(const ListenAddress& address, int error) {
  const absl::Status status = absl::ErrnoToStatus(
      error, absl::StrCat("cannot listen on ", address.ToString()));
  if (error != EADDRINUSE) return status;
  return absl::FailedPreconditionError(status.message());
}

absl::StatusOr<Addresses> Resolve(const ListenAddress& address) {
  std::string host = address.host();
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints = {};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(
      host.c_str(), std::to_string(address.port()).c_str(), &hints, &found);
  if (error == 0) return Addresses(found, &freeaddrinfo);
  return CannotListen(address, absl::StatusCode::kInvalidArgument,
                      gai_strerror(error));
}

Name Copy(const addrinfo& info) {
  Name name = {};
  std::memcpy(&name, info.ai_addr, info.ai_addrlen);
  return name;
}

// The port field of `name`; null for a name of another kind.
in_port_t* PortIn(Name& name) {
  if (name.ss_family == AF_INET) {
    return &reinterpret_cast<sockaddr_in&>(name).sin_port;
  }
  if (name.ss_family == AF_INET6) {
    return &reinterpret_cast<sockaddr_in6&>(name).sin6_port;
  }
  return nullptr;
}

// Connections inherit these from the socket that accepts them.
void SetOptions(const UniqueFd& fd, const Name& name) {
  const int on = 1;
  const int off = 0;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs,
             sizeof kUserTimeoutMs);
  if (name.ss_family == AF_INET6) {
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
}

// The socket, or errno.
std::pair<UniqueFd, int> ListenAt(const Name& name, socklen_t size,
                                  int backlog) {
  UniqueFd fd(socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                     IPPROTO_TCP));
  if (!fd.valid()) return {UniqueFd(), errno};
  SetOptions(fd, name);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0 ||
      listen(fd.get(), backlog) != 0) {
    return {UniqueFd(), errno};
  }
  return {std::move(fd), 0};
}

Name LocalName(const UniqueFd& fd) {
  Name name = {};
  socklen_t size = sizeof name;
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &size);
  return name;
}

// True if the system lacks the address, for example without IPv6: the other
// addresses of the name may still work.
bool IsMissing(int error) {
  return error == EADDRNOTAVAIL || error == EAFNOSUPPORT;
}

struct Attempt {
  std::vector<UniqueFd> sockets;
  int error = 0;  // of an address that failed or is missing
};

// Listens at all of `addresses`; if the port is 0, the first one chooses it.
Attempt ListenAtAll(const addrinfo* addresses, int backlog) {
  Attempt attempt;
  for (const addrinfo* it = addresses; it != nullptr; it = it->ai_next) {
    Name name = Copy(*it);
    in_port_t* const port = PortIn(name);
    if (port == nullptr) continue;
    if (*port == 0 && !attempt.sockets.empty()) {
      Name first = LocalName(attempt.sockets.front());
      *port = *PortIn(first);
    }
    auto [fd, error] = ListenAt(name, it->ai_addrlen, backlog);
    if (error == 0) {
      attempt.sockets.push_back(std::move(fd));
      continue;
    }
    attempt.error = error;
    if (!IsMissing(error)) return attempt;
  }
  if (!attempt.sockets.empty()) attempt.error = 0;
  return attempt;
}

bool IsWildcard(const Name& name) {
  if (name.ss_family == AF_INET) {
    return reinterpret_cast<const sockaddr_in&>(name).sin_addr.s_addr ==
           htonl(INADDR_ANY);
  }
  return IN6_IS_ADDR_UNSPECIFIED(
      &reinterpret_cast<const sockaddr_in6&>(name).sin6_addr);
}

bool SameHost(const Name& a, const Name& b) {
  if (a.ss_family != b.ss_family) return false;
  if (a.ss_family == AF_INET) {
    return reinterpret_cast<const sockaddr_in&>(a).sin_addr.s_addr ==
           reinterpret_cast<const sockaddr_in&>(b).sin_addr.s_addr;
  }
  return IN6_ARE_ADDR_EQUAL(
      &reinterpret_cast<const sockaddr_in6&>(a).sin6_addr,
      &reinterpret_cast<const sockaddr_in6&>(b).sin6_addr);
}

// [::] also covers IPv4; 0.0.0.0 does not cover IPv6.
bool Takes(const Name& taker, const Name& other) {
  return IsWildcard(taker) &&
         (taker.ss_family == AF_INET6 || taker.ss_family == other.ss_family);
}

}  // namespace

absl::StatusOr<std::vector<UniqueFd>> ListenOnTcp(const ListenAddress& address,
                                                  int backlog) {
  assert(!address.is_unix());
  SIMVISOR_ASSIGN_OR_RETURN(const Addresses addresses, Resolve(address));
  int error = 0;
  for (int i = 0; i < kPortTries; ++i) {
    Attempt attempt = ListenAtAll(addresses.get(), backlog);
    if (attempt.error == 0) return std::move(attempt.sockets);
    error = attempt.error;
    // Another try helps only if the system chose the port.
    if (address.port() != 0 || error != EADDRINUSE) break;
  }
  return SystemError(address, error);
}

int PortOf(const std::vector<UniqueFd>& sockets) {
  Name name = LocalName(sockets.front());
  return ntohs(*PortIn(name));
}

bool Overlaps(const std::vector<UniqueFd>& sockets,
              const ListenAddress& address) {
  const absl::StatusOr<Addresses> addresses = Resolve(address);
  if (!addresses.ok()) return false;
  for (const addrinfo* it = addresses->get(); it != nullptr; it = it->ai_next) {
    const Name wanted = Copy(*it);
    for (const UniqueFd& fd : sockets) {
      const Name taken = LocalName(fd);
      if (SameHost(wanted, taken) || Takes(wanted, taken) ||
          Takes(taken, wanted)) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace simvisor::server
