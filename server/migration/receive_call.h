// One ReceiveDomain call: feeds a TargetSession with what the source sends, and
// writes its answers.
//
// A decision that drops the domain while it comes in ends the call, too: see
// StallWatch::Interrupt().
//
// Thread safety: as PooledReactor.

#ifndef SIMVISOR_SERVER_MIGRATION_RECEIVE_CALL_H_
#define SIMVISOR_SERVER_MIGRATION_RECEIVE_CALL_H_

#include <grpcpp/server_context.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/calls/call_runner.h"
#include "server/calls/pooled_reactor.h"
#include "server/calls/raw_message.h"
#include "server/sessions/incoming_migrations.h"
#include "server/sessions/target_session.h"
#include "simvisor/v1/live_migration.pb.h"

namespace simvisor::server {

class ReceiveCall : public PooledBidiReactor {
 public:
  ReceiveCall(CallRunner* runner, IncomingMigrations* migrations,
              grpc::CallbackServerContext* context);

 private:
  void Take() override;
  void Written() override;
  // The stream broke, or ended where it must not.
  void Break() override;
  void End(const absl::Status& status) override;
  absl::StatusOr<TargetSession::Next> Handle();
  // Writes the answer that is due, or reads on, or ends the call.
  void GoOn(const absl::StatusOr<TargetSession::Next>& next);
  void Answer();

  TargetSession session_;
  TakenMessage<v1::ReceiveDomainRequest> request_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_RECEIVE_CALL_H_
