#include "server/migration/peer_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "base/unix_target.h"
#include "server/convert/argument.h"
#include "server/listen/listen_address.h"

namespace simvisor::server {
namespace {

// The first bytes of an IPv4 address in its IPv6 form.
constexpr std::array<uint8_t, 12> kIpv4Prefix = {0, 0, 0, 0, 0,    0,
                                                 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

bool IsIpv4(const IpAddress& ip) {
  return std::equal(kIpv4Prefix.begin(), kIpv4Prefix.end(), ip.begin());
}

std::optional<IpAddress> ParseIpAddress(absl::string_view text) {
  IpAddress ip{};
  const bool bracketed =
      text.size() > 2 && text.front() == '[' && text.back() == ']';
  if (bracketed) {
    const std::string inner(text.substr(1, text.size() - 2));
    if (inet_pton(AF_INET6, inner.c_str(), ip.data()) != 1) return std::nullopt;
    return ip;
  }
  std::copy(kIpv4Prefix.begin(), kIpv4Prefix.end(), ip.begin());
  const std::string whole(text);
  if (inet_pton(AF_INET, whole.c_str(), ip.data() + kIpv4Prefix.size()) != 1) {
    return std::nullopt;
  }
  return ip;
}

std::string ToString(const IpAddress& ip) {
  char text[INET6_ADDRSTRLEN] = "";
  if (IsIpv4(ip)) {
    inet_ntop(AF_INET, ip.data() + kIpv4Prefix.size(), text, sizeof(text));
    return text;
  }
  inet_ntop(AF_INET6, ip.data(), text, sizeof(text));
  return absl::StrCat("[", text, "]");
}

absl::StatusOr<PeerAddress> PeerAddress::Parse(absl::string_view text) {
  const absl::StatusOr<ListenAddress> parsed = ListenAddress::Parse(text);
  if (!parsed.ok()) {
    return ArgumentMalformed("target", parsed.status().message());
  }
  PeerAddress address;
  if (parsed->is_unix()) {
    address.path_ = parsed->path();
    return address;
  }
  const std::optional<IpAddress> ip = ParseIpAddress(parsed->host());
  if (!ip.has_value()) {
    return ArgumentMalformed(
        "target", absl::StrCat(Quoted(text),
                               ": names are not resolved; write unix:PATH, or "
                               "ADDRESS:PORT with an IP address"));
  }
  if (parsed->port() == 0) {
    return ArgumentMalformed("target",
                             "port 0: the port must be from 1 to 65535");
  }
  address.ip_ = *ip;
  address.port_ = parsed->port();
  return address;
}

std::string PeerAddress::ToString() const {
  if (is_unix()) return absl::StrCat("unix:", path_);
  return absl::StrCat(server::ToString(ip_), ":", port_);
}

std::string PeerAddress::GrpcAddress() const {
  if (is_unix()) return UnixTarget(path_);
  if (IsIpv4(ip_)) return absl::StrCat("ipv4:", ToString());
  return absl::StrCat(
      "ipv6:", absl::StrReplaceAll(ToString(), {{"[", "%5B"}, {"]", "%5D"}}));
}

}  // namespace simvisor::server
