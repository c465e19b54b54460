// Where the daemon listens: a unix socket, or a TCP host and port.
//
// Thread safety: values, no shared state.

#ifndef SIMVISOR_SERVER_LISTEN_LISTEN_ADDRESS_H_
#define SIMVISOR_SERVER_LISTEN_LISTEN_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace simvisor::server {

class ListenAddress {
 public:
  // Parses "unix:PATH" (a relative PATH starts at the current folder) or
  // "HOST:PORT", where HOST may be "[IPV6]" and PORT 0 lets the system choose.
  //
  // INVALID_ARGUMENT ARGUMENT_MALFORMED for any other text, and for a path that
  // is too long for a socket.
  static absl::StatusOr<ListenAddress> Parse(absl::string_view text);

  bool is_unix() const { return !path_.empty(); }
  // True if only processes of this system can reach it: a unix socket or a
  // loopback address.  A host given by another name counts as reachable from
  // outside.
  bool is_local() const;
  // Absolute path of a unix socket; empty for TCP.
  const std::string& path() const { return path_; }
  // Host of a TCP address, brackets included; empty for a unix socket.
  const std::string& host() const { return host_; }
  int port() const { return port_; }

  // The same host with the port that the system chose.
  ListenAddress WithPort(int port) const;

  // "unix:/PATH" or "HOST:PORT".
  std::string ToString() const;
  // Like ToString(), in the form that gRPC parses back unchanged.
  std::string GrpcAddress() const;

  friend bool operator==(const ListenAddress&, const ListenAddress&) = default;

 private:
  ListenAddress() = default;

  std::string path_;
  std::string host_;
  int port_ = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_LISTEN_ADDRESS_H_
