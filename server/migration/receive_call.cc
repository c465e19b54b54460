#include "server/migration/receive_call.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "server/convert/argument.h"
#include "server/convert/domain.h"
#include "server/convert/live_migration.h"
#include "server/images/xl_config.h"
#include "server/machine/memory_reserve.h"

namespace simvisor::server {
namespace {

constexpr size_t kMaxSourceBytes = 256;
constexpr size_t kMaxNameBytes = 256;

absl::StatusOr<DomainSpec> SpecOf(const std::optional<std::string>& config) {
  if (config.has_value()) return ParseXlConfig(*config);
  return ArgumentMalformed("data",
                           "the stream must be an image of the xl layer");
}

}  // namespace

ReceiveCall::ReceiveCall(CallRunner* runner, IncomingMigrations* migrations,
                         grpc::CallbackServerContext* context)
    : PooledBidiReactor(runner, &runner->images, context, "ReceiveDomain"),
      migrations_(migrations) {}

void ReceiveCall::Written() {
  absl::Status status;
  response_.Clear();
  if (step_ == Step::kPrepared) {
    status = Reach(FaultPoint::kReceivePrepared);
  } else if (step_ == Step::kReceiving && restorer_->done()) {
    // The whole stream came along with what ADMITTED has answered.
    status = WithinMemory(record_.method(), [this] { return Arrive(); });
  }
  GoOn(status);
}

void ReceiveCall::Take() {
  const absl::Status taken = UnlessExhausted([this] {
    return request_.Take(runner_->messages, record_.method(), read_);
  });
  if (!taken.ok()) return End(taken);
  // Every step but data is progress, whatever its size.
  if (request_->step_case() == v1::ReceiveDomainRequest::kData) {
    watch_.Moved(request_->data().size());
  } else {
    watch_.Moved();
  }
  if (step_ == Step::kCommitted) {
    if (!request_->has_done()) return End(Misplaced("done"));
    migrations_->Acknowledge(id_);
    return End(Reach(FaultPoint::kReceiveDone));
  }
  response_.Clear();
  // A call that is over must not commit any more.
  absl::Status status = limits_();
  if (status.ok()) {
    status = WithinMemory(record_.method(), [this] { return Handle(); });
  }
  GoOn(status);
}

void ReceiveCall::GoOn(const absl::Status& status) {
  if (!status.ok()) return End(status);
  request_.Clear();
  if (response_.step_case() == v1::ReceiveDomainResponse::STEP_NOT_SET) {
    return Read();
  }
  const absl::Status written = UnlessExhausted([this]() -> absl::Status {
    WriteMessageAlways(runner_->messages, response_, write_);
    return absl::OkStatus();
  });
  if (!written.ok()) return End(written);
  Write();
}

absl::Status ReceiveCall::Handle() {
  switch (step_) {
    case Step::kOffer:
      return request_->has_offer() ? TakeOffer(request_->offer())
                                   : Misplaced("offer");
    case Step::kReceiving:
      return request_->step_case() == v1::ReceiveDomainRequest::kData
                 ? TakeData()
                 : Misplaced("data");
    case Step::kPrepared:
      return request_->has_commit() ? TakeCommit() : Misplaced("commit");
    case Step::kCommitted:
      break;
  }
  return absl::OkStatus();
}

absl::Status ReceiveCall::TakeOffer(
    const v1::ReceiveDomainRequest::Offer& offer) {
  SIMVISOR_RETURN_IF_ERROR(CheckMigrationId(offer.migration_id()));
  SIMVISOR_RETURN_IF_ERROR(
      CheckAtMost("offer.source", offer.source().size(), kMaxSourceBytes));
  SIMVISOR_RETURN_IF_ERROR(
      CheckAtMost("offer.name", offer.name().size(), kMaxNameBytes));
  name_ = offer.name();
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kReceiveBegin));
  SIMVISOR_RETURN_IF_ERROR(migrations_->Begin(
      offer.migration_id(), offer.source(), offer.start_paused(),
      [this](const absl::Status& why) { watch_.Interrupt(why); }));
  id_ = offer.migration_id();
  restorer_ = std::make_unique<ImageRestorer>(
      runner_->host(), SpecOf, LimitsFrom::kNotes, PageCount(offer.pages()),
      Arrival::kHeld);
  step_ = Step::kReceiving;
  return absl::OkStatus();
}

absl::Status ReceiveCall::TakeData() {
  SIMVISOR_RETURN_IF_ERROR(restorer_->Feed(request_->data(), limits_));
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kReceivePiece));
  if (!admitted_ && restorer_->admitted()) {
    SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kReceiveAdmitted));
    admitted_ = true;
    response_.mutable_admitted();
    return absl::OkStatus();
  }
  return restorer_->done() ? Arrive() : absl::OkStatus();
}

absl::Status ReceiveCall::Arrive() {
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kReceiveArrived));
  // All of the domain is here, and its source may be dead: an operator decides.
  SIMVISOR_ASSIGN_OR_RETURN(domain_, restorer_->Finish(NeverStop));
  restorer_ = nullptr;
  SIMVISOR_RETURN_IF_ERROR(migrations_->Arrived(id_, domain_));
  step_ = Step::kPrepared;
  response_.mutable_prepared();
  return absl::OkStatus();
}

absl::Status ReceiveCall::TakeCommit() {
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kReceiveCommit));
  SIMVISOR_ASSIGN_OR_RETURN(const v1::Migration now,
                            migrations_->Decide(id_, TargetEvent::kCommit));
  if (now.state() != v1::MIGRATION_STATE_COMMITTED) {
    return MakeError(absl::StatusCode::kFailedPrecondition,
                     Reason::kMigrationSettled,
                     absl::StrCat("receive: migration ", id_,
                                  ": commit came after it was dropped"));
  }
  step_ = Step::kCommitted;
  SIMVISOR_RETURN_IF_ERROR(Reach(FaultPoint::kReceiveCommitted));
  ToProto(domain_->Info(), response_.mutable_committed()->mutable_domain());
  return absl::OkStatus();
}

absl::Status ReceiveCall::Misplaced(absl::string_view expected) const {
  return ArgumentMalformed(
      "step", absl::StrCat("field ", request_->step_case(), " was sent where ",
                           expected, " was due"));
}

void ReceiveCall::Break() {
  const absl::Status limits = limits_();
  End(limits.ok() ? MakeError(absl::StatusCode::kInvalidArgument,
                              Reason::kImageTruncated,
                              absl::StrCat("receive: the source ended the "
                                           "stream before the migration was "
                                           "done"))
                  : limits);
}

void ReceiveCall::End(const absl::Status& status) {
  // Whatever came in without arriving goes before the source hears of it.
  restorer_ = nullptr;
  domain_ = nullptr;
  if (!id_.empty()) {
    if (!status.ok()) {
      migrations_->Decide(id_, TargetEvent::kBroken).IgnoreError();
    }
    migrations_->CallEnded(id_);
  }
  PooledBidiReactor::End(status);
}

}  // namespace simvisor::server
