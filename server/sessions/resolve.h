// Decides what becomes of this daemon's copy of a domain that is being handed
// over, when a peer asks or an operator decides.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_SERVER_SESSIONS_RESOLVE_H_
#define SIMVISOR_SERVER_SESSIONS_RESOLVE_H_

#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/sessions/incoming_migrations.h"
#include "server/sessions/migration_record.h"
#include "server/sessions/outgoing_migrations.h"

namespace simvisor::server {

enum class MigrationDecision {
  kDropUnlessCommitted,  // a source asks
  kKeep,
  kDrop,
};

using AnyRecord = std::variant<OutgoingRecord, IncomingRecord>;

// Returns the record that results.  NOT_FOUND MIGRATION_NOT_FOUND if the id is
// unknown; FAILED_PRECONDITION MIGRATION_SETTLED if an operator's decision does
// not change it, or if it may have been committed and forgotten.
absl::StatusOr<AnyRecord> Resolve(OutgoingMigrations& outgoing,
                                  IncomingMigrations& incoming,
                                  absl::string_view id,
                                  MigrationDecision decision);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SESSIONS_RESOLVE_H_
