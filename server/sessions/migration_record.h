// One migration, as one of its two daemons knows it.
//
// Thread safety: plain values and pure functions.

#ifndef SIMVISOR_SERVER_SESSIONS_MIGRATION_RECORD_H_
#define SIMVISOR_SERVER_SESSIONS_MIGRATION_RECORD_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "domain/migration/handover.h"
#include "domain/units/units.h"

namespace simvisor::server {

// The most bytes of `peer` and `why` in a record.
inline constexpr size_t kMaxPeerBytes = 256;
inline constexpr size_t kMaxWhyBytes = 1024;

// `State` is SourceState or TargetState.
template <typename State>
struct MigrationRecord {
  std::string id;
  State state{};
  // The domain here, which may be gone; 0 and empty while it is arriving.
  DomainId domid{0};
  std::string name;
  std::string peer;  // the other daemon, printable
  std::string why;   // why it stopped, printable; empty if it did not
};

using OutgoingRecord = MigrationRecord<SourceState>;
using IncomingRecord = MigrationRecord<TargetState>;

// The state's name as in the API, such as "COPYING".
absl::string_view NameOf(SourceState state);
absl::string_view NameOf(TargetState state);

// NOT_FOUND MIGRATION_NOT_FOUND.
absl::Status UnknownMigration(absl::string_view id);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SESSIONS_MIGRATION_RECORD_H_
