#include "server/host/audit_call.h"

#include <utility>

#include "base/status_macros.h"
#include "google/protobuf/arena.h"
#include "server/calls/message_budget.h"
#include "server/calls/raw_message.h"
#include "server/host/convert_host.h"
#include "server/machine/memory_reserve.h"
#include "simvisor/v1/host_service.pb.h"

namespace simvisor::server {
namespace {

constexpr char kAuditMethod[] = "AuditHost";

}  // namespace

AuditCall::AuditCall(CallRunner* runner, const RawUnary& raw)
    : UnaryAnswer(runner->messages, raw.context),
      runner_(*runner),
      raw_(raw),
      limits_(raw.context),
      record_(&runner->calls, kAuditMethod) {}

void AuditCall::Start(std::shared_ptr<SharedAudit> audits) {
  const absl::Status accepted =
      WithinMemory(kAuditMethod, [this] { return Accept(); });
  if (!accepted.ok()) return End(accepted, AuditReport());
  audits_ = std::move(audits);
  ticket_ =
      audits_->Ask([this](const absl::Status& status,
                          const AuditReport& report) { End(status, report); });
}

absl::Status AuditCall::Accept() {
  SIMVISOR_RETURN_IF_ERROR(Enter(runner_.open_calls, kAuditMethod));
  google::protobuf::Arena arena;
  auto* const request =
      google::protobuf::Arena::CreateMessage<v1::AuditHostRequest>(&arena);
  MessageBudget::Charge charge;
  // As for other unary methods: the bytes are gRPC's copy for this call.
  auto& bytes = const_cast<grpc::ByteBuffer&>(*raw_.request);
  return ReadMessage(runner_.messages, kAuditMethod, bytes, arena, *request,
                     charge);
}

void AuditCall::OnCancel() {
  if (audits_ == nullptr || !audits_->Leave(ticket_)) return;
  const absl::Status status = limits_();
  // gRPC reports every call that is over, for whatever reason, as cancelled.
  End(status.ok() ? StopStatus(true, WallTime::min(), WallTime::max()) : status,
      AuditReport());
}

void AuditCall::End(absl::Status status, const AuditReport& report) {
  if (status.ok()) {
    status = UnlessExhausted([&] {
      v1::AuditHostResponse response;
      ToProto(report, &response);
      return WriteMessage(runner_.messages, kAuditMethod, response,
                          *raw_.response);
    });
  }
  record_.LogOutcome(status);
  Send(status, *raw_.response);
}

}  // namespace simvisor::server
