// One ReceiveDomain call: feeds a TargetSession with the source's messages and
// writes its answers.
//
// A decision that drops the domain while it is arriving also ends the call; see
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
  // Ends the call after the stream broke or ended too early.
  void Break() override;
  void End(const absl::Status& status) override;
  absl::StatusOr<TargetSession::Next> Handle();
  // Writes the answer, reads the next message, or ends the call.
  void GoOn(const absl::StatusOr<TargetSession::Next>& next);
  void Answer();

  TargetSession session_;
  TakenMessage<v1::ReceiveDomainRequest> request_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_RECEIVE_CALL_H_
