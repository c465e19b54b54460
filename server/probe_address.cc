#include "server/probe_address.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "domain/units/status_macros.h"
#include "server/unique_fd.h"

namespace simvisor::server {
namespace {

absl::Status CannotListen(const ListenAddress& address, int error) {
  return absl::ErrnoToStatus(
      error, absl::StrCat("cannot listen on ", address.ToString()));
}

absl::Status TryBind(const ListenAddress& address, const sockaddr* name,
                     socklen_t size) {
  const UniqueFd fd(socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return CannotListen(address, errno);
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd.get(), name, size) != 0 || listen(fd.get(), 1) != 0) {
    return CannotListen(address, errno);
  }
  return absl::OkStatus();
}

absl::Status ProbeUnix(const ListenAddress& address) {
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, address.path().data(), address.path().size());
  // The caller has the right to the path, and gRPC may have left a socket
  // there. The one made here goes with the caller's guard.
  unlink(address.path().c_str());
  return TryBind(address, reinterpret_cast<const sockaddr*>(&name),
                 sizeof name);
}

absl::Status ProbeTcp(const ListenAddress& address) {
  std::string host = address.host();
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints = {};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(
      host.c_str(), std::to_string(address.port()).c_str(), &hints, &found);
  if (error != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot listen on ", address.ToString(), ": ", gai_strerror(error)));
  }
  const absl::Cleanup free = [found] { freeaddrinfo(found); };
  absl::Status status;
  for (const addrinfo* it = found; it != nullptr; it = it->ai_next) {
    status = TryBind(address, it->ai_addr, it->ai_addrlen);
    if (status.ok()) return status;
  }
  return status;
}

}  // namespace

absl::Status WhyNotListening(const std::vector<ListenAddress>& listen) {
  for (const ListenAddress& address : listen) {
    SIMVISOR_RETURN_IF_ERROR(address.is_unix() ? ProbeUnix(address)
                                               : ProbeTcp(address));
  }
  return absl::UnavailableError("cannot listen; start again");
}

}  // namespace simvisor::server
