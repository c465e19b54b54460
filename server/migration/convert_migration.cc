#include "server/migration/convert_migration.h"

#include <cstddef>
#include <string>
#include <variant>

#include "base/status_macros.h"
#include "server/convert/argument.h"
#include "server/convert/live_migration.h"

namespace simvisor::server {
namespace {

constexpr size_t kMaxSourceBytes = 256;
constexpr size_t kMaxNameBytes = 256;

template <typename State>
v1::Migration RecordToProto(const MigrationRecord<State>& record,
                            v1::MigrationDirection direction) {
  v1::Migration out;
  out.set_migration_id(record.id);
  out.set_direction(direction);
  out.set_state(ToProto(record.state));
  out.set_domid(record.domid.value());
  out.set_name(record.name);
  out.set_peer(record.peer);
  out.set_message(record.why);
  return out;
}

v1::MigrationPhase PhaseToProto(MigrationPhase phase) {
  switch (phase) {
    case MigrationPhase::kAdmission:
      return v1::MIGRATION_PHASE_ADMISSION;
    case MigrationPhase::kCopying:
      return v1::MIGRATION_PHASE_COPYING;
    case MigrationPhase::kSuspended:
      return v1::MIGRATION_PHASE_SUSPENDED;
    case MigrationPhase::kCommitting:
      return v1::MIGRATION_PHASE_COMMITTING;
    case MigrationPhase::kMoved:
      return v1::MIGRATION_PHASE_MOVED;
  }
  return v1::MIGRATION_PHASE_UNSPECIFIED;
}

}  // namespace

v1::Migration ToProto(const OutgoingRecord& record) {
  return RecordToProto(record, v1::MIGRATION_DIRECTION_OUTGOING);
}

v1::Migration ToProto(const IncomingRecord& record) {
  return RecordToProto(record, v1::MIGRATION_DIRECTION_INCOMING);
}

v1::Migration ToProto(const AnyRecord& record) {
  return std::visit([](const auto& one) { return ToProto(one); }, record);
}

v1::MigrateDomainResponse ToProto(absl::string_view id,
                                  const MigrationProgress& progress) {
  v1::MigrateDomainResponse out;
  out.set_migration_id(std::string(id));
  out.set_phase(PhaseToProto(progress.phase));
  out.set_pass(progress.pass);
  out.set_pass_pfns_done(progress.pass_pfns_done);
  out.set_pass_pfns_total(progress.pass_pfns_total);
  out.set_data_pages(progress.data_pages);
  out.set_bytes_sent(progress.bytes_sent);
  out.set_dirty_pages(progress.dirty_pages);
  out.set_bytes_per_second(progress.bytes_per_second);
  out.set_pass_left_ms(progress.pass_left_ms);
  out.set_downtime_ms(progress.downtime_ms);
  out.set_not_converging(!progress.converges);
  if (!progress.domain.empty() &&
      out.mutable_domain()->ParseFromString(progress.domain)) {
    // A guest with PCI devices cannot migrate, so the target's claim is false.
    out.mutable_domain()->clear_pci_devices();
  }
  return out;
}

std::optional<TargetState> FinalState(v1::MigrationState state) {
  if (state == v1::MIGRATION_STATE_COMMITTED) return TargetState::kCommitted;
  if (state == v1::MIGRATION_STATE_DROPPED) return TargetState::kDropped;
  return std::nullopt;
}

absl::StatusOr<MigrationDecision> FromProto(v1::MigrationDecision decision) {
  switch (decision) {
    case v1::MIGRATION_DECISION_DROP_UNLESS_COMMITTED:
      return MigrationDecision::kDropUnlessCommitted;
    case v1::MIGRATION_DECISION_KEEP:
      return MigrationDecision::kKeep;
    case v1::MIGRATION_DECISION_DROP:
      return MigrationDecision::kDrop;
    case v1::MIGRATION_DECISION_UNSPECIFIED:
      return ArgumentMissing("decision", "say what becomes of the copy here");
    default:
      return UnknownValue("decision", decision,
                          "MIGRATION_DECISION_DROP_UNLESS_COMMITTED, "
                          "MIGRATION_DECISION_KEEP or MIGRATION_DECISION_DROP");
  }
}

SourceMessage FromProto(const v1::ReceiveDomainRequest& request) {
  switch (request.step_case()) {
    case v1::ReceiveDomainRequest::kOffer:
      return OfferMessage{.migration_id = request.offer().migration_id(),
                          .pages = PageCount(request.offer().pages()),
                          .source = request.offer().source(),
                          .start_paused = request.offer().start_paused(),
                          .name = request.offer().name()};
    case v1::ReceiveDomainRequest::kData:
      return DataMessage{request.data()};
    case v1::ReceiveDomainRequest::kCommit:
      return CommitMessage();
    case v1::ReceiveDomainRequest::kDone:
      return DoneMessage();
    case v1::ReceiveDomainRequest::STEP_NOT_SET:
      break;
  }
  return std::monostate();
}

absl::Status CheckOffer(const v1::ReceiveDomainRequest::Offer& offer) {
  SIMVISOR_RETURN_IF_ERROR(CheckMigrationId(offer.migration_id()));
  SIMVISOR_RETURN_IF_ERROR(
      CheckAtMost("offer.source", offer.source().size(), kMaxSourceBytes));
  return CheckAtMost("offer.name", offer.name().size(), kMaxNameBytes);
}

void ToProto(const SourceMessage& message, v1::ReceiveDomainRequest& request) {
  if (const auto* const data = std::get_if<DataMessage>(&message)) {
    // Reuses the buffer of the previous data.
    request.mutable_data()->assign(data->bytes.data(), data->bytes.size());
    return;
  }
  request.Clear();
  if (const auto* const from = std::get_if<OfferMessage>(&message)) {
    v1::ReceiveDomainRequest::Offer& offer = *request.mutable_offer();
    offer.set_migration_id(from->migration_id);
    offer.set_pages(from->pages.value());
    offer.set_source(from->source);
    offer.set_start_paused(from->start_paused);
    offer.set_name(from->name);
  } else if (std::holds_alternative<CommitMessage>(message)) {
    request.mutable_commit();
  } else if (std::holds_alternative<DoneMessage>(message)) {
    request.mutable_done();
  }
}

TargetAnswer AnswerOf(const v1::ReceiveDomainResponse& response) {
  switch (response.step_case()) {
    case v1::ReceiveDomainResponse::kAdmitted:
      return TargetAnswer::kAdmitted;
    case v1::ReceiveDomainResponse::kPrepared:
      return TargetAnswer::kPrepared;
    case v1::ReceiveDomainResponse::kCommitted:
      return TargetAnswer::kCommitted;
    case v1::ReceiveDomainResponse::STEP_NOT_SET:
      break;
  }
  return TargetAnswer::kNone;
}

TargetMessage FromProto(const v1::ReceiveDomainResponse& response) {
  TargetMessage out;
  out.answer = AnswerOf(response);
  if (out.answer == TargetAnswer::kCommitted) {
    const v1::Domain& domain = response.committed().domain();
    out.name = domain.name();
    out.uuid = domain.uuid();
    out.domain = domain.SerializeAsString();
  }
  return out;
}

}  // namespace simvisor::server
