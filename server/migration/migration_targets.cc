#include "server/migration/migration_targets.h"

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "server/listen/listen_address.h"

namespace simvisor::server {
namespace {

constexpr int kIpv4Bits = 32;
constexpr int kIpv6Bits = 128;
constexpr int kMaxPort = 65535;

absl::Status BadTarget(absl::string_view text, absl::string_view problem) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kArgumentMalformed,
      absl::StrCat("migration target ", Quoted(text), ": ", problem),
      {{fact::kValue, text}});
}

bool SameBits(const IpAddress& a, const IpAddress& b, int bits) {
  for (int i = 0; i < bits; ++i) {
    const int bit = 0x80 >> (i % 8);
    if ((a[i / 8] & bit) != (b[i / 8] & bit)) return false;
  }
  return true;
}

// Cuts `text` at its last `separator` and returns what follows it; nullopt if
// there is no separator.
std::optional<absl::string_view> TakeTail(absl::string_view& text,
                                          char separator) {
  const size_t at = text.rfind(separator);
  if (at == absl::string_view::npos) return std::nullopt;
  const absl::string_view tail = text.substr(at + 1);
  text = text.substr(0, at);
  return tail;
}

}  // namespace

MigrationTargets::MigrationTargets() : MigrationTargets(*Parse("local")) {}

absl::StatusOr<MigrationTargets> MigrationTargets::Parse(
    absl::string_view text) {
  std::vector<Rule> rules;
  if (text == "none") return MigrationTargets(std::move(rules));
  if (text == "any") text = "unix:*,0.0.0.0/0,[::/0]";
  for (const absl::string_view target : absl::StrSplit(text, ',')) {
    SIMVISOR_RETURN_IF_ERROR(AddRules(target, rules));
  }
  return MigrationTargets(std::move(rules));
}

absl::Status MigrationTargets::AddRules(absl::string_view target,
                                        std::vector<Rule>& rules) {
  if (target == "local") {
    for (const absl::string_view one : {"unix:*", "127.0.0.0/8", "[::1]"}) {
      SIMVISOR_RETURN_IF_ERROR(AddRules(one, rules));
    }
    return absl::OkStatus();
  }
  absl::string_view path = target;
  SIMVISOR_ASSIGN_OR_RETURN(Rule rule, absl::ConsumePrefix(&path, "unix:")
                                           ? ParseSocket(path)
                                           : ParseTcp(target));
  rules.push_back(std::move(rule));
  return absl::OkStatus();
}

absl::StatusOr<MigrationTargets::Rule> MigrationTargets::ParseSocket(
    absl::string_view path) {
  Rule rule;
  rule.is_unix = true;
  rule.is_prefix = path == "*" || absl::EndsWith(path, "/*");
  if (path == "*") return rule;
  if (rule.is_prefix) path.remove_suffix(2);
  if (rule.is_prefix && path.empty()) {
    rule.path = "/";
    return rule;
  }
  SIMVISOR_ASSIGN_OR_RETURN(const ListenAddress parsed,
                            ListenAddress::Parse(absl::StrCat("unix:", path)));
  rule.path = parsed.path();
  if (rule.is_prefix && !absl::EndsWith(rule.path, "/")) rule.path += '/';
  return rule;
}

absl::StatusOr<MigrationTargets::Rule> MigrationTargets::ParseTcp(
    absl::string_view text) {
  Rule rule;
  absl::string_view host = text;
  // Ignore the colons inside the brackets of an IPv6 address.
  const size_t bracket = text.find(']');
  const bool has_port = absl::StrContains(
      bracket == absl::string_view::npos ? text : text.substr(bracket), ":");
  if (has_port) {
    const absl::string_view port = *TakeTail(host, ':');
    if (port != "*" && (!absl::SimpleAtoi(port, &rule.port) || rule.port < 1 ||
                        rule.port > kMaxPort)) {
      return BadTarget(text, "the port must be 1 to 65535, or *");
    }
  }
  const bool bracketed = absl::ConsumePrefix(&host, "[");
  if (bracketed && !absl::ConsumeSuffix(&host, "]")) {
    return BadTarget(text, "put an IPv6 address in brackets, as in [fd00::/8]");
  }
  const int most = bracketed ? kIpv6Bits : kIpv4Bits;
  rule.bits = most;
  const std::optional<absl::string_view> bits = TakeTail(host, '/');
  if (bits.has_value() && (!absl::SimpleAtoi(*bits, &rule.bits) ||
                           rule.bits < 0 || rule.bits > most)) {
    return BadTarget(text, absl::StrCat("/BITS must be /0 to /", most));
  }
  const std::optional<IpAddress> ip = ParseIpAddress(
      bracketed ? absl::StrCat("[", host, "]") : std::string(host));
  if (!ip.has_value()) {
    return BadTarget(text,
                     "write any, none, local, unix:PATH, unix:FOLDER/*, or an "
                     "IP address with /BITS and :PORT or without");
  }
  rule.ip = *ip;
  if (!bracketed) rule.bits += kIpv6Bits - kIpv4Bits;
  return rule;
}

bool MigrationTargets::Matches(const Rule& rule, const PeerAddress& address) {
  if (rule.is_unix != address.is_unix()) return false;
  if (rule.is_unix) {
    return rule.is_prefix ? absl::StartsWith(address.path(), rule.path)
                          : address.path() == rule.path;
  }
  return (rule.port == 0 || rule.port == address.port()) &&
         SameBits(rule.ip, address.ip(), rule.bits);
}

absl::Status MigrationTargets::Check(const PeerAddress& address) const {
  for (const Rule& rule : rules_) {
    if (Matches(rule, address)) return absl::OkStatus();
  }
  return MakeError(
      absl::StatusCode::kPermissionDenied, Reason::kTargetNotAllowed,
      absl::StrCat("migrate to ", address.ToString(),
                   ": this daemon may not migrate there; start it with "
                   "--migration-targets that allow it"),
      {{fact::kOperation, "migrate"}, {fact::kValue, address.ToString()}});
}

}  // namespace simvisor::server
