// One ReceiveDomain call: the target's end of a migration.
//
//   step         begins with                  goes on to
//   kOffer       the first read               kReceiving
//   kReceiving   a read of data               itself; ADMITTED is written once
//                                             there is room, and PREPARED at
//                                             the end of the stream, then
//                                             kPrepared
//   kPrepared    a read of COMMIT             COMMITTED is written, then
//                                             kCommitted
//   kCommitted   a read of DONE               the end
//
// What the domain is at each step stands in IncomingMigrations; what breaks the
// call is told there.  A decision that drops the domain while it comes in ends
// the call, too: see StallWatch::Interrupt().
//
// Thread safety: as PooledReactor.

#ifndef SIMVISOR_SERVER_MIGRATION_RECEIVE_CALL_H_
#define SIMVISOR_SERVER_MIGRATION_RECEIVE_CALL_H_

#include <grpcpp/server_context.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "domain/image/image_restorer.h"
#include "domain/vm/domain.h"
#include "server/calls/call_runner.h"
#include "server/calls/pooled_reactor.h"
#include "server/calls/raw_message.h"
#include "server/migration/incoming_migrations.h"
#include "simvisor/v1/live_migration.pb.h"

namespace simvisor::server {

class ReceiveCall : public PooledBidiReactor {
 public:
  ReceiveCall(CallRunner* runner, IncomingMigrations* migrations,
              grpc::CallbackServerContext* context);

 private:
  enum class Step { kOffer, kReceiving, kPrepared, kCommitted };

  void Take() override;
  void Written() override;
  // The stream broke, or ended where it must not.
  void Break() override;
  void End(const absl::Status& status) override;
  absl::Status Reach(FaultPoint point) {
    return runner_->machine.faults().Reach(point, name_);
  }
  // Writes the response that is due, or reads on, or ends the call.
  void GoOn(const absl::Status& status);
  // Does what the request asks for, and fills in a response if one is due.
  absl::Status Handle();
  absl::Status TakeOffer(const v1::ReceiveDomainRequest::Offer& offer);
  absl::Status TakeData();
  absl::Status Arrive();
  absl::Status TakeCommit();
  absl::Status Misplaced(absl::string_view expected) const;

  IncomingMigrations* const migrations_;
  Step step_ = Step::kOffer;
  std::string id_;  // empty until it is known to be ours
  std::string name_;
  bool admitted_ = false;
  std::unique_ptr<ImageRestorer> restorer_;
  std::shared_ptr<Domain> domain_;
  TakenMessage<v1::ReceiveDomainRequest> request_;
  v1::ReceiveDomainResponse response_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_RECEIVE_CALL_H_
