// The sockets that listen at one --listen address.
//
// Thread safety: one thread at a time per object.

#ifndef SIMVISOR_SERVER_LISTEN_LISTENER_H_
#define SIMVISOR_SERVER_LISTEN_LISTENER_H_

#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/listen/listen_address.h"
#include "server/listen/socket_file.h"
#include "server/listen/unique_fd.h"

namespace simvisor::server {

class Listener {
 public:
  // Listens at `address`.  Connections queue until they are accepted.
  //
  // Errors as for SocketFile::Listen() and ListenOnTcp().
  static absl::StatusOr<Listener> Open(const ListenAddress& address);

  Listener(Listener&&) = default;
  Listener& operator=(Listener&&) = delete;
  // From then on connections are refused; the file of a unix socket is removed.
  ~Listener() = default;

  // Includes the port that the system chose.
  const ListenAddress& address() const { return address_; }
  // At least one, non-blocking.
  const std::vector<UniqueFd>& sockets() const { return sockets_; }

  // True if it is impossible to listen at `address` besides this listener: it
  // leads to the same socket file, or its port and one of its hosts are in use
  // here.
  bool Clashes(const ListenAddress& address) const;

 private:
  Listener(ListenAddress address, std::vector<UniqueFd> sockets,
           std::optional<SocketFile> file);

  static absl::StatusOr<Listener> OpenUnix(const ListenAddress& address);
  static absl::StatusOr<Listener> OpenTcp(const ListenAddress& address);

  ListenAddress address_;
  // The file is removed before its socket is closed.
  std::vector<UniqueFd> sockets_;
  std::optional<SocketFile> file_;
};

// Listens at all of `addresses`, in their order, or at none.
//
// ALREADY_EXISTS, naming both, if two of them clash; otherwise errors as for
// Listener::Open().
absl::StatusOr<std::vector<Listener>> OpenListeners(
    const std::vector<ListenAddress>& addresses);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_LISTENER_H_
