// What migrations say, in the API's terms.
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
// Without what nothing has checked of the domain at the target.
v1::MigrateDomainResponse ToProto(absl::string_view id,
                                  const MigrationProgress& progress);

// The state of a target that has decided; nullopt for any other.
std::optional<TargetState> FinalState(v1::MigrationState state);

// INVALID_ARGUMENT ARGUMENT_MISSING, ARGUMENT_MALFORMED.
absl::StatusOr<MigrationDecision> FromProto(v1::MigrationDecision decision);

// The message, whose data remain those of `request`.
SourceMessage FromProto(const v1::ReceiveDomainRequest& request);
// That an offer is within the bounds of its fields.
absl::Status CheckOffer(const v1::ReceiveDomainRequest::Offer& offer);
// Into `request`, which is empty or a message of the same kind.
void ToProto(const SourceMessage& message, v1::ReceiveDomainRequest& request);
TargetAnswer AnswerOf(const v1::ReceiveDomainResponse& response);
TargetMessage FromProto(const v1::ReceiveDomainResponse& response);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_CONVERT_MIGRATION_H_
