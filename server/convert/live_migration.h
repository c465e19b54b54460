// Converts between the API's messages and the types of live migration.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_CONVERT_LIVE_MIGRATION_H_
#define SIMVISOR_SERVER_CONVERT_LIVE_MIGRATION_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/migration/handover.h"
#include "domain/migration/precopy_policy.h"
#include "domain/vm/domain_types.h"
#include "simvisor/v1/live_migration.pb.h"

namespace simvisor::server {

v1::MigrationState ToProto(SourceState state);
v1::MigrationState ToProto(TargetState state);
v1::Handover ToProto(Handover handover);

// INVALID_ARGUMENT: ARGUMENT_TOO_LARGE, ARGUMENT_MALFORMED for a number outside
// the range that the API states.
absl::StatusOr<PrecopyPolicy> FromProto(const v1::PrecopyPolicy& policy);

// INVALID_ARGUMENT ARGUMENT_MALFORMED unless `id` has the form of a migration
// id.
absl::Status CheckMigrationId(absl::string_view id);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CONVERT_LIVE_MIGRATION_H_
