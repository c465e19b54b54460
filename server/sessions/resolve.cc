#include "server/sessions/resolve.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace simvisor::server {
namespace {

struct Meaning {
  // For an outgoing migration: the event, and the state after it if the table
  // has a line for it.
  std::optional<SourceEvent> source;
  SourceState outgoing;
  // The same for an incoming one.  A question is answered in every state.
  TargetEvent target;
  std::optional<TargetState> incoming;
};

Meaning MeaningOf(MigrationDecision decision) {
  switch (decision) {
    case MigrationDecision::kKeep:
      return {SourceEvent::kKeep, SourceState::kKept, TargetEvent::kKeep,
              TargetState::kCommitted};
    case MigrationDecision::kDrop:
      return {SourceEvent::kDrop, SourceState::kMoved, TargetEvent::kDrop,
              TargetState::kDropped};
    case MigrationDecision::kDropUnlessCommitted:
      break;
  }
  return {std::nullopt, SourceState::kKept, TargetEvent::kAsked, std::nullopt};
}

template <typename State>
absl::StatusOr<AnyRecord> IfTaken(MigrationRecord<State> record,
                                  std::optional<State> wanted) {
  if (!wanted.has_value() || record.state == *wanted) {
    return AnyRecord(std::move(record));
  }
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kMigrationSettled,
      absl::StrCat("migration ", record.id, ": it is MIGRATION_STATE_",
                   NameOf(record.state),
                   ", which this decision does not change; cancel the call "
                   "that moves one that is under way, and treat what is left "
                   "of one that has ended as any domain"),
      {{fact::kValue, record.id}});
}

}  // namespace

absl::StatusOr<AnyRecord> Resolve(OutgoingMigrations& outgoing,
                                  IncomingMigrations& incoming,
                                  absl::string_view id,
                                  MigrationDecision decision) {
  const Meaning meaning = MeaningOf(decision);
  // A domain that went and came back may have taken the same id both ways.
  const bool is_source = meaning.source.has_value() && outgoing.IsUnknown(id);
  if (!is_source) {
    absl::StatusOr<IncomingRecord> record = incoming.Decide(id, meaning.target);
    if (record.ok()) return IfTaken(*std::move(record), meaning.incoming);
    if (!meaning.source.has_value()) return record.status();
  }
  SIMVISOR_ASSIGN_OR_RETURN(OutgoingRecord record,
                            outgoing.Note(id, *meaning.source));
  return IfTaken(std::move(record), std::optional(meaning.outgoing));
}

}  // namespace simvisor::server
