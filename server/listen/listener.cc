#include "server/listen/listener.h"

#include <sys/socket.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/listen/tcp_sockets.h"

namespace simvisor::server {
namespace {

// How many connections may queue at a socket; the system's usual maximum.  A
// client that finds the queue of a unix socket full fails at once, so the queue
// must be long enough for a flood that keeps the processor busy.
constexpr int kBacklog = 4096;

absl::Status Clash(const ListenAddress& address, const Listener& taken) {
  return absl::AlreadyExistsError(absl::StrCat(
      "cannot listen on ", address.ToString(), ": --listen ",
      taken.address().ToString(),
      address.is_unix() ? " leads to the same socket" : " has taken that port",
      "; leave one of the two out"));
}

// `status` with a better explanation if another process has the port.
absl::Status Explained(const ListenAddress& address,
                       const absl::Status& status) {
  if (address.is_unix() ||
      status.code() != absl::StatusCode::kFailedPrecondition) {
    return status;
  }
  return absl::FailedPreconditionError(
      absl::StrCat(status.message(),
                   "; stop the process that listens there, or choose "
                   "another port (0 lets the system choose)"));
}

}  // namespace

Listener::Listener(ListenAddress address, std::vector<UniqueFd> sockets,
                   std::optional<SocketFile> file)
    : address_(std::move(address)),
      sockets_(std::move(sockets)),
      file_(std::move(file)) {}

absl::StatusOr<Listener> Listener::Open(const ListenAddress& address) {
  return address.is_unix() ? OpenUnix(address) : OpenTcp(address);
}

absl::StatusOr<Listener> Listener::OpenUnix(const ListenAddress& address) {
  std::vector<UniqueFd> sockets;
  sockets.emplace_back(
      socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!sockets.front().valid()) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("cannot listen on ", address.ToString()));
  }
  SIMVISOR_ASSIGN_OR_RETURN(
      SocketFile file,
      SocketFile::Listen(sockets.front().get(), address.path(), kBacklog));
  return Listener(address, std::move(sockets), std::move(file));
}

absl::StatusOr<Listener> Listener::OpenTcp(const ListenAddress& address) {
  SIMVISOR_ASSIGN_OR_RETURN(std::vector<UniqueFd> sockets,
                            ListenOnTcp(address, kBacklog));
  const int port = PortOf(sockets);
  return Listener(address.WithPort(port), std::move(sockets), std::nullopt);
}

bool Listener::Clashes(const ListenAddress& address) const {
  if (address.is_unix())
    return file_.has_value() && file_->IsAt(address.path());
  return !address_.is_unix() && address.port() == address_.port() &&
         Overlaps(sockets_, address);
}

absl::StatusOr<std::vector<Listener>> OpenListeners(
    const std::vector<ListenAddress>& addresses) {
  std::vector<Listener> listeners;
  listeners.reserve(addresses.size());
  for (const ListenAddress& address : addresses) {
    for (const Listener& before : listeners) {
      if (before.Clashes(address)) return Clash(address, before);
    }
    absl::StatusOr<Listener> listener = Listener::Open(address);
    if (!listener.ok()) return Explained(address, listener.status());
    listeners.push_back(*std::move(listener));
  }
  return listeners;
}

}  // namespace simvisor::server
