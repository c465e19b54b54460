#include "server/mmus/mmu_session.h"

#include <string>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "server/calls/find_domain.h"
#include "server/convert/argument.h"
#include "server/machine/fault_points.h"
#include "server/machine/mmu_waiter.h"
#include "server/mmus/convert_mmu.h"

namespace simvisor::server {
namespace {

constexpr char kSubscribe[] = "subscribe";
constexpr char kAccess[] = "device access";

// Whether the subscription had already ended when the message came.
bool CameTooLate(const absl::Status& status) {
  const auto reason = ReasonOf(status);
  return reason == ReasonName(Reason::kSecondaryMmuFenced) ||
         reason == ReasonName(Reason::kSecondaryMmuNotAttached);
}

absl::Status NotFirst() {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   Reason::kSecondaryMmuProtocol,
                   "subscribe: register and resume may only be the first "
                   "message of a stream; call Subscribe once for each "
                   "subscription");
}

}  // namespace

absl::Time MmuSession::Now() const {
  return ToLeaseTime(machine_.clock()->Now());
}

absl::Status MmuSession::Open(const v1::SubscribeRequest& first, StopCheck stop,
                              std::shared_ptr<MmuSignal> signal) {
  if (first.has_register_()) {
    return Register(first.register_(), stop, std::move(signal));
  }
  if (first.has_resume()) return Resume(first.resume(), std::move(signal));
  return ArgumentMissing("register",
                         "begin with register, or with resume to go on after a "
                         "stream broke");
}

absl::Status MmuSession::Register(const v1::SubscribeRequest::Register& spec,
                                  StopCheck stop,
                                  std::shared_ptr<MmuSignal> signal) {
  SIMVISOR_ASSIGN_OR_RETURN(MmuSpec wanted, FromProto(spec));
  SIMVISOR_ASSIGN_OR_RETURN(std::shared_ptr<Domain> domain,
                            LookUpDomain(machine_.host(), spec.domain()));
  SIMVISOR_ASSIGN_OR_RETURN(
      id_, domain->mmus().Register(
               {.name = kSubscribe, .stop = stop}, std::move(wanted),
               {.signal = std::move(signal), .object = nullptr}));
  mmus_ = domain->mmus().Find();
  machine_.mmus().Add(id_, domain);
  domain_ = std::move(domain);
  return absl::OkStatus();
}

absl::Status MmuSession::Resume(const v1::SubscribeRequest::Resume& resume,
                                std::shared_ptr<MmuSignal> signal) {
  const SubscriptionId id{resume.subscription()};
  SIMVISOR_ASSIGN_OR_RETURN(std::shared_ptr<Domain> domain,
                            machine_.mmus().Find(kSubscribe, id));
  SIMVISOR_RETURN_IF_ERROR(machine_.Reach(FaultPoint::kMmuResume, *domain));
  std::shared_ptr<SecondaryMmus> mmus = domain->mmus().Find();
  const Context context(domain->identity(), kSubscribe);
  SIMVISOR_RETURN_IF_ERROR(mmus->Reattach(
      context, id, resume.token(), resume.last_ev(), std::move(signal), Now()));
  id_ = id;
  mmus_ = std::move(mmus);
  machine_.mmus().Attach(id_);
  domain_ = std::move(domain);
  return absl::OkStatus();
}

size_t MmuSession::AnswersTo(const v1::SubscribeRequest& message) {
  switch (message.message_case()) {
    case v1::SubscribeRequest::kFault:
    case v1::SubscribeRequest::kCommit:
    case v1::SubscribeRequest::kAccess:
    case v1::SubscribeRequest::kRenew:
    case v1::SubscribeRequest::kWatch:
    case v1::SubscribeRequest::kUnwatch:
      return 1;
    default:
      return 0;
  }
}

bool MmuSession::IsAnswer(const mmu::Message& message) {
  const mmu::Body& body = message.body;
  return std::holds_alternative<mmu::Resolved>(body) ||
         std::holds_alternative<mmu::Installed>(body) ||
         std::holds_alternative<mmu::NotMapped>(body) ||
         std::holds_alternative<mmu::Retry>(body) ||
         std::holds_alternative<mmu::FaultError>(body) ||
         std::holds_alternative<mmu::Renewed>(body) ||
         std::holds_alternative<mmu::Watched>(body) ||
         std::holds_alternative<mmu::Unwatched>(body) ||
         std::holds_alternative<mmu::Accessed>(body);
}

absl::Status MmuSession::Handle(const v1::SubscribeRequest& message,
                                StopCheck stop) {
  absl::Status status = Do(message, stop);
  if (status.ok() || CameTooLate(status)) return absl::OkStatus();
  Fence();
  return status;
}

absl::Status MmuSession::Do(const v1::SubscribeRequest& message,
                            StopCheck stop) {
  switch (message.message_case()) {
    case v1::SubscribeRequest::kRegister:
    case v1::SubscribeRequest::kResume:
      return NotFirst();
    case v1::SubscribeRequest::kAck:
      return mmus_->Ack(id_, message.ack().ev(), Now()).status();
    case v1::SubscribeRequest::kNack:
      return mmus_->Nack(id_, message.nack().ev(), Now());
    case v1::SubscribeRequest::kYoung:
      return AnswerYoung(message.young());
    case v1::SubscribeRequest::kFault:
      return mmus_->Fault(id_, FromProto(message.fault()));
    case v1::SubscribeRequest::kCommit:
      return mmus_->Commit(id_, message.commit().req());
    case v1::SubscribeRequest::kDrop:
      return Drop(message.drop());
    case v1::SubscribeRequest::kAccess:
      return Access(message.access(), stop);
    case v1::SubscribeRequest::kRenew:
      return mmus_->Renew(id_, message.renew().nonce(), Now());
    case v1::SubscribeRequest::kWatch:
      return Watch(message.watch());
    case v1::SubscribeRequest::kUnwatch:
      return Unwatch(message.unwatch());
    case v1::SubscribeRequest::kUnregister:
      mmus_->Unregister(id_);
      return absl::OkStatus();
    case v1::SubscribeRequest::MESSAGE_NOT_SET:
      break;
  }
  return ArgumentMissing("message",
                         "set one of the messages that this API version has");
}

absl::Status MmuSession::AnswerYoung(
    const v1::SubscribeRequest::YoungReply& reply) {
  SIMVISOR_ASSIGN_OR_RETURN(
      const std::vector<PfnExtent> young,
      FromProto("young.young", reply.young(), MmuLimits::kMaxYoungRuns));
  return mmus_->accessed().AnswerYoung(id_, reply.ev(), young);
}

absl::Status MmuSession::Drop(const v1::SubscribeRequest::Drop& drop) {
  SIMVISOR_ASSIGN_OR_RETURN(
      const std::vector<PfnExtent> pfns,
      FromProto("drop.pfns", drop.pfns(), MmuLimits::kMaxExtents));
  return mmus_->DropMappings(id_, pfns);
}

absl::Status MmuSession::Watch(const v1::SubscribeRequest::Watch& watch) {
  const absl::StatusOr<PfnExtent> pfns = FromProto("watch.pfns", watch.pfns());
  if (!pfns.ok()) return Answer(watch.req(), pfns.status());
  return Answer(watch.req(), mmus_->Watch(id_, watch.req(), *pfns));
}

absl::Status MmuSession::Unwatch(const v1::SubscribeRequest::Unwatch& unwatch) {
  const absl::StatusOr<PfnExtent> pfns =
      FromProto("unwatch.pfns", unwatch.pfns());
  if (!pfns.ok()) return Answer(unwatch.req(), pfns.status());
  return Answer(unwatch.req(), mmus_->Unwatch(id_, unwatch.req(), *pfns));
}

absl::Status MmuSession::Answer(uint64_t req, const absl::Status& status) {
  const auto reason = ReasonOf(status);
  if (reason != ReasonName(Reason::kRangeInvalid) &&
      reason != ReasonName(Reason::kPfnNotWatched)) {
    return status;
  }
  mmus_->Answer(id_, mmu::FaultError{.req = req, .status = status});
  return absl::OkStatus();
}

absl::Status MmuSession::Access(const v1::SubscribeRequest::Access& access,
                                StopCheck stop) {
  const Operation operation{.name = kAccess, .stop = stop};
  const DomainMmus mmus = domain_->mmus();
  const Pfn pfn(access.pfn());
  mmu::Accessed answer{.req = access.req(), .data = "", .status = {}};
  if (access.data().empty()) {
    absl::StatusOr<std::string> loaded = mmus.Load(
        operation, id_, pfn, access.offset_bytes(), access.length_bytes());
    answer.status = loaded.status();
    if (loaded.ok()) answer.data = *std::move(loaded);
  } else if (access.length_bytes() != 0) {
    answer.status = MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
        "device access: length_bytes is for loads, data is for stores");
  } else {
    answer.status =
        mmus.Store(operation, id_, pfn, access.offset_bytes(), access.data());
  }
  if (CameTooLate(answer.status)) return answer.status;
  mmus_->Answer(id_, std::move(answer));
  return absl::OkStatus();
}

void MmuSession::Fence() { mmus_->Fence(id_, FenceCause::kProtocol); }

absl::Status MmuSession::Break() {
  mmus_->Detach(id_, Now());
  if (machine_.mmus().Leave(id_)) {
    return MakeError(absl::StatusCode::kCancelled, Reason::kCancelled,
                     "subscribe: the stream ended without unregister; resume "
                     "the subscription before its lease ends");
  }
  return MakeError(absl::StatusCode::kAborted, Reason::kSecondaryMmuFenced,
                   "subscribe: the stream ended without unregister, so the "
                   "subscription is fenced; drop every mapping and subscribe "
                   "again");
}

void MmuSession::Close() { machine_.mmus().Remove(id_); }

}  // namespace simvisor::server
