#include "server/listen/peer_name.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>

#include "absl/strings/str_cat.h"

namespace simvisor::server {
namespace {

constexpr char kUnknown[] = "an unknown peer";

// The process at the other end of a unix socket; none for other sockets.
std::optional<ucred> PeerProcess(int fd) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      peer.pid == 0) {
    return std::nullopt;
  }
  return peer;
}

std::string ProcessName(int fd) {
  const std::optional<ucred> peer = PeerProcess(fd);
  return peer.has_value() ? absl::StrCat("process ", peer->pid) : kUnknown;
}

}  // namespace

std::string PeerName(int fd) {
  sockaddr_storage name = {};
  socklen_t size = sizeof name;
  auto* const address = reinterpret_cast<sockaddr*>(&name);
  if (getpeername(fd, address, &size) != 0) return kUnknown;
  if (name.ss_family == AF_UNIX) return ProcessName(fd);
  char host[NI_MAXHOST];
  if (getnameinfo(address, size, host, sizeof host, nullptr, 0,
                  NI_NUMERICHOST) != 0) {
    return kUnknown;
  }
  return host;
}

bool IsOwner(int fd) {
  const std::optional<ucred> peer = PeerProcess(fd);
  return peer.has_value() && (peer->uid == geteuid() || peer->uid == 0);
}

}  // namespace simvisor::server
