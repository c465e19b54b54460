// Where another daemon listens: a unix socket, or a literal IP address and a
// port.  Names are not resolved and gRPC's other schemes are refused, so the
// daemon connects to exactly the address that it checked.
//
// Thread safety: values, no shared state.

#ifndef SIMVISOR_SERVER_MIGRATION_PEER_ADDRESS_H_
#define SIMVISOR_SERVER_MIGRATION_PEER_ADDRESS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace simvisor::server {

// An IPv4 address is held in its IPv6 form, ::ffff:a.b.c.d.
using IpAddress = std::array<uint8_t, 16>;

// Parses a text such as "127.0.0.1" or "[::1]"; nullopt for anything else.
std::optional<IpAddress> ParseIpAddress(absl::string_view text);
// The inverse; puts IPv6 addresses in brackets.
std::string ToString(const IpAddress& ip);
bool IsIpv4(const IpAddress& ip);

class PeerAddress {
 public:
  // Parses "unix:PATH", or "ADDRESS:PORT" with an IPv4 address or an IPv6
  // address in brackets, and a port from 1 to 65535.
  //
  // INVALID_ARGUMENT ARGUMENT_MALFORMED for any other text.
  static absl::StatusOr<PeerAddress> Parse(absl::string_view text);

  bool is_unix() const { return !path_.empty(); }
  // Absolute path of a unix socket, without . and ..; empty for TCP.
  const std::string& path() const { return path_; }
  const IpAddress& ip() const { return ip_; }
  int port() const { return port_; }

  // The canonical text: equal addresses have equal texts.
  std::string ToString() const;
  // The form that gRPC connects to without resolving a name.
  std::string GrpcAddress() const;

 private:
  PeerAddress() = default;

  std::string path_;
  IpAddress ip_{};
  int port_ = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_PEER_ADDRESS_H_
