#include "server/listen/listen_address.h"

#include <sys/un.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "base/unix_target.h"

namespace simvisor::server {
namespace {

constexpr absl::string_view kUnixPrefix = "unix:";
// One byte is for the terminating zero.
constexpr size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;
constexpr int kMaxPort = 65535;

absl::Status BadAddress(absl::string_view text, absl::string_view problem) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   Reason::kArgumentMalformed,
                   absl::StrCat("address ", Quoted(text), ": ", problem));
}

absl::StatusOr<std::string> SocketPath(absl::string_view text,
                                       absl::string_view path) {
  // "unix:///run/x" is the same address written as a URI.
  if (absl::StartsWith(path, "///")) path.remove_prefix(2);
  if (path.empty()) return BadAddress(text, "no path; write unix:PATH");
  if (absl::StrContains(path, ',')) return BadAddress(text, kCommaInPath);
  std::error_code error;
  std::string absolute =
      std::filesystem::absolute(std::string(path), error).lexically_normal();
  if (error) return BadAddress(text, error.message());
  if (absolute.size() > kMaxSocketPath) {
    return BadAddress(
        text, absl::StrCat("a path of ", absolute.size(),
                           " bytes: a socket's ends at ", kMaxSocketPath));
  }
  return absolute;
}

}  // namespace

absl::StatusOr<ListenAddress> ListenAddress::Parse(absl::string_view text) {
  ListenAddress address;
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, kUnixPrefix)) {
    SIMVISOR_ASSIGN_OR_RETURN(address.path_, SocketPath(text, rest));
    return address;
  }
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos || colon == 0 ||
      absl::StrContains(text, '/')) {
    return BadAddress(text, "write unix:PATH or HOST:PORT");
  }
  address.host_ = std::string(text.substr(0, colon));
  const bool bracketed =
      address.host_.front() == '[' && address.host_.back() == ']';
  if (absl::StrContains(address.host_, ':') && !bracketed) {
    return BadAddress(text, "put an IPv6 host in brackets, as in [::1]:0");
  }
  if (!absl::SimpleAtoi(text.substr(colon + 1), &address.port_) ||
      address.port_ < 0 || address.port_ > kMaxPort) {
    return BadAddress(text, "the port must be 0 to 65535");
  }
  return address;
}

bool ListenAddress::is_local() const {
  return is_unix() || absl::StartsWith(host_, "127.") || host_ == "[::1]" ||
         host_ == "localhost";
}

ListenAddress ListenAddress::WithPort(int port) const {
  ListenAddress copy = *this;
  copy.port_ = port;
  return copy;
}

std::string ListenAddress::ToString() const {
  if (is_unix()) return absl::StrCat(kUnixPrefix, path_);
  return absl::StrCat(host_, ":", port_);
}

std::string ListenAddress::GrpcAddress() const {
  return is_unix() ? UnixTarget(path_) : ToString();
}

}  // namespace simvisor::server
