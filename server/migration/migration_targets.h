// Where the daemon may migrate domains to (--migration-targets).
//
//   LIST     any | none | TARGET{,TARGET}
//   TARGET   local | unix:PATH | unix:FOLDER/* | unix:* | ADDRESS[:PORT]
//   ADDRESS  an IPv4 address or [IPv6 address], optionally with /BITS
//   PORT     1 to 65535, or * for any, the default
//
// "local" stands for every unix socket and the addresses of this machine's
// loopback: unix:*,127.0.0.0/8,[::1].  FOLDER/* allows every socket in or below
// the folder.  Paths are compared as text: links are not followed.
//
// Thread safety: values, no shared state.

#ifndef SIMVISOR_SERVER_MIGRATION_MIGRATION_TARGETS_H_
#define SIMVISOR_SERVER_MIGRATION_MIGRATION_TARGETS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/migration/peer_address.h"

namespace simvisor::server {

class MigrationTargets {
 public:
  // Allows "local".
  MigrationTargets();

  // INVALID_ARGUMENT ARGUMENT_MALFORMED if `text` is not a LIST.
  static absl::StatusOr<MigrationTargets> Parse(absl::string_view text);

  // PERMISSION_DENIED TARGET_NOT_ALLOWED if the list does not allow `address`.
  absl::Status Check(const PeerAddress& address) const;

 private:
  struct Rule {
    bool is_unix = false;
    // For sockets: the path, or its prefix.
    std::string path;
    bool is_prefix = false;
    // For TCP: the first `bits` bits of the address must match, and the port
    // unless it is 0.
    IpAddress ip{};
    int bits = 0;
    int port = 0;
  };

  explicit MigrationTargets(std::vector<Rule> rules)
      : rules_(std::move(rules)) {}

  static absl::Status AddRules(absl::string_view target,
                               std::vector<Rule>& rules);
  static absl::StatusOr<Rule> ParseSocket(absl::string_view path);
  static absl::StatusOr<Rule> ParseTcp(absl::string_view text);
  static bool Matches(const Rule& rule, const PeerAddress& address);

  std::vector<Rule> rules_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_MIGRATION_TARGETS_H_
