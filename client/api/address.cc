#include "client/api/address.h"

#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/unix_target.h"

namespace simvisor::client {
namespace {

constexpr char kSystemSocket[] = "/run/simvisor.sock";
constexpr size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;

absl::Status BadAddress(absl::string_view address, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("address '", address, "': ", why,
                   "; an address is unix:PATH or HOST:PORT"));
}

absl::Status CheckUnixPath(absl::string_view address, absl::string_view path) {
  if (path.empty()) return BadAddress(address, "the path is missing");
  if (absl::StrContains(path, ',')) return BadAddress(address, kCommaInPath);
  if (path.size() > kMaxSocketPath) {
    return BadAddress(address, absl::StrCat("the path has ", path.size(),
                                            " bytes, a socket's has at most ",
                                            kMaxSocketPath));
  }
  return absl::OkStatus();
}

std::string GetEnv(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

absl::Status CheckAddress(absl::string_view address) {
  absl::string_view rest = address;
  if (absl::ConsumePrefix(&rest, "unix:")) return CheckUnixPath(address, rest);
  if (absl::StartsWith(address, "/")) {
    return BadAddress(address, absl::StrCat("a socket is unix:", address));
  }
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos || colon + 1 == address.size()) {
    return BadAddress(address, "the port is missing");
  }
  const absl::string_view host = address.substr(0, colon);
  if (host.empty()) return BadAddress(address, "the host is missing");
  if (absl::StrContains(host, ":") &&
      !(absl::StartsWith(host, "[") && absl::EndsWith(host, "]"))) {
    return BadAddress(address, "an IPv6 host must be in brackets");
  }
  uint32_t port = 0;
  if (!absl::SimpleAtoi(address.substr(colon + 1), &port) || port == 0 ||
      port > 65535) {
    return BadAddress(address, "ports are 1 to 65535");
  }
  return absl::OkStatus();
}

std::string GrpcTarget(absl::string_view address) {
  absl::string_view path = address;
  if (!absl::ConsumePrefix(&path, "unix:")) return std::string(address);
  // "unix:///run/x" is the same address written as a URI.
  if (absl::StartsWith(path, "///")) path.remove_prefix(2);
  return UnixTarget(path);
}

std::string ChooseAddress(const AddressSources& sources) {
  if (!sources.simvisor_address.empty()) return sources.simvisor_address;
  if (!sources.runtime_dir.empty()) {
    return absl::StrCat("unix:", sources.runtime_dir, "/simvisor.sock");
  }
  if (sources.uid == 0) return absl::StrCat("unix:", kSystemSocket);
  return absl::StrCat("unix:/tmp/simvisor-", sources.uid, "/simvisor.sock");
}

std::string DefaultAddress() {
  return ChooseAddress({.simvisor_address = GetEnv("SIMVISOR_ADDRESS"),
                        .runtime_dir = GetEnv("XDG_RUNTIME_DIR"),
                        .uid = geteuid()});
}

}  // namespace simvisor::client
