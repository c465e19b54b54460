#include "server/sessions/peer.h"

#include <spdlog/spdlog.h>

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "base/printable.h"
#include "base/quote.h"

namespace simvisor::server {
namespace {

// The most bytes of a peer's text that a message quotes.
constexpr size_t kMaxSaidBytes = 512;

std::string Said(absl::string_view text) {
  return Shortened(Printable(text), kMaxSaidBytes);
}

}  // namespace

absl::Status FromPeer(const PeerStatus& status, absl::string_view operation,
                      absl::string_view address) {
  if (status.code == absl::StatusCode::kOk) return absl::OkStatus();
  if (!status.reason.has_value()) {
    return Unreachable(operation, address,
                       absl::StrCat("code ", static_cast<int>(status.code),
                                    ": ", status.text));
  }
  absl::Status result = MakeError(
      status.code, *status.reason,
      absl::StrCat(operation, ": ", address, " says: ", Said(status.text)));
  for (const absl::string_view name : fact::kAll) {
    const auto at = status.facts.find(std::string(name));
    if (at != status.facts.end()) SetFact({name, Said(at->second)}, result);
  }
  return result;
}

absl::Status Unreachable(absl::string_view operation, absl::string_view address,
                         absl::string_view cause) {
  spdlog::info("{}: {} cannot be reached: {}", std::string(operation),
               std::string(address), Said(cause));
  return MakeError(
      absl::StatusCode::kUnavailable, Reason::kTargetUnreachable,
      absl::StrCat(operation, ": ", address,
                   " cannot be reached, or no simvisord like this one answers "
                   "there; the log of this daemon has the cause"),
      {{fact::kOperation, operation}, {fact::kValue, address}});
}

absl::StatusOr<SourceEvent> EventOf(const QuestionAnswer& answer,
                                    absl::string_view asked,
                                    absl::string_view address) {
  const std::string operation = absl::StrCat("migration ", asked);
  if (answer.status.code != absl::StatusCode::kOk) {
    if (answer.status.reason == Reason::kMigrationNotFound) {
      return SourceEvent::kNeverHeardOf;
    }
    return FromPeer(answer.status, operation, address);
  }
  if (answer.id == asked) {
    if (answer.state == TargetState::kCommitted) return SourceEvent::kCommitted;
    if (answer.state == TargetState::kDropped) return SourceEvent::kDropped;
  }
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kTargetMisbehaved,
      absl::StrCat(operation, ": ", address,
                   " was asked and answered about another one, or neither "
                   "committed nor dropped"),
      {{fact::kOperation, operation}, {fact::kValue, address}});
}

}  // namespace simvisor::server
