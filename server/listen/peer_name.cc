#include "server/listen/peer_name.h"

#include <netdb.h>
#include <sys/socket.h>

#include "absl/strings/str_cat.h"

namespace simvisor::server {
namespace {

constexpr char kUnknown[] = "an unknown peer";

std::string ProcessName(int fd) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      peer.pid == 0) {
    return kUnknown;
  }
  return absl::StrCat("process ", peer.pid);
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

}  // namespace simvisor::server
