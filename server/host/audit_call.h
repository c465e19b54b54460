// One AuditHost call, which waits for a shared audit without blocking a thread.
//
// The audit's answer finishes it or, if the call is over before that,
// OnCancel() does: SharedAudit lets only one of the two through.
//
// Thread safety: as argued above.

#ifndef SIMVISOR_SERVER_HOST_AUDIT_CALL_H_
#define SIMVISOR_SERVER_HOST_AUDIT_CALL_H_

#include <memory>

#include "absl/status/status.h"
#include "domain/host/host.h"
#include "server/calls/call_limits.h"
#include "server/calls/call_record.h"
#include "server/calls/call_runner.h"
#include "server/calls/unary_answer.h"
#include "server/host/shared_audit.h"

namespace simvisor::server {

class AuditCall final : public UnaryAnswer {
 public:
  AuditCall(CallRunner* runner, const RawUnary& raw);

  // Asks for an audit; finishes the call if it cannot be accepted.
  void Start(std::shared_ptr<SharedAudit> audits);

  void OnCancel() override;

 private:
  // Takes a place, and parses the request, which has no fields.
  absl::Status Accept();
  void End(absl::Status status, const AuditReport& report);
  // OnCancel() does too much to run inline in gRPC.
  bool InternalInlineable() override { return false; }

  CallRunner& runner_;
  const RawUnary raw_;
  const CallLimits limits_;
  const CallRecord record_;
  std::shared_ptr<SharedAudit> audits_;  // null if none was asked for
  SharedAudit::Ticket ticket_ = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_HOST_AUDIT_CALL_H_
