// The messages that the two daemons of a migration exchange on its stream.
//
// Thread safety: plain values.

#ifndef SIMVISOR_SERVER_SESSIONS_MESSAGES_H_
#define SIMVISOR_SERVER_SESSIONS_MESSAGES_H_

#include <string>
#include <variant>

#include "absl/strings/string_view.h"
#include "domain/units/units.h"

namespace simvisor::server {

// Announces the domain that the source is about to send.
struct OfferMessage {
  std::string migration_id;
  PageCount pages;     // of the domain
  std::string source;  // names the source, for people only
  bool start_paused = false;
  std::string name;  // of the domain, for people and fault injection
};

// The next bytes of the domain's image.
struct DataMessage {
  absl::string_view bytes;
};

// The target runs the domain from now on.
struct CommitMessage {};

// The source has destroyed its copy.
struct DoneMessage {};

// A message's index is the number of its field in ReceiveDomainRequest; 0 is an
// empty one.
using SourceMessage = std::variant<std::monostate, OfferMessage, DataMessage,
                                   CommitMessage, DoneMessage>;

enum class TargetAnswer {
  kNone,
  kAdmitted,   // there is room: send the pages
  kPrepared,   // the whole domain is here, suspended
  kCommitted,  // the domain belongs to the target
};

struct TargetMessage {
  TargetAnswer answer = TargetAnswer::kNone;
  // Of kCommitted: the domain, as the target knows it.
  std::string name;
  std::string uuid;
  // The target's whole description of it, in the peer's encoding; only passed
  // on in reports.
  std::string domain;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SESSIONS_MESSAGES_H_
