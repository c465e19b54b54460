// Converts the messages and records of migrations to and from the API's.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_MIGRATION_CONVERT_MIGRATION_H_
#define SIMVISOR_SERVER_MIGRATION_CONVERT_MIGRATION_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/migration/handover.h"
#include "server/sessions/messages.h"
#include "server/sessions/migration_progress.h"
#include "server/sessions/migration_record.h"
#include "server/sessions/resolve.h"
#include "simvisor/v1/live_migration.pb.h"

namespace simvisor::server {

v1::Migration ToProto(const OutgoingRecord& record);
v1::Migration ToProto(const IncomingRecord& record);
v1::Migration ToProto(const AnyRecord& record);
// Leaves out what was not checked of the target's description of the domain.
v1::MigrateDomainResponse ToProto(absl::string_view id,
                                  const MigrationProgress& progress);

// The state of a target that has decided: COMMITTED or DROPPED; nullopt for any
// other.
std::optional<TargetState> FinalState(v1::MigrationState state);

// INVALID_ARGUMENT ARGUMENT_MISSING, ARGUMENT_MALFORMED.
absl::StatusOr<MigrationDecision> FromProto(v1::MigrationDecision decision);

// Converts a message; its data point into `request`.
SourceMessage FromProto(const v1::ReceiveDomainRequest& request);
// Checks the fields of an offer.  INVALID_ARGUMENT.
absl::Status CheckOffer(const v1::ReceiveDomainRequest::Offer& offer);
// Writes `message` to `request`, which must be empty or hold an earlier
// message.
void ToProto(const SourceMessage& message, v1::ReceiveDomainRequest& request);
TargetAnswer AnswerOf(const v1::ReceiveDomainResponse& response);
TargetMessage FromProto(const v1::ReceiveDomainResponse& response);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_CONVERT_MIGRATION_H_
